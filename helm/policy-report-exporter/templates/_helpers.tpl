{{/* Names, labels and small decisions that several templates share. */}}

{{- define "policy-report-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "policy-report-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "policy-report-exporter.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "policy-report-exporter.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "policy-report-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Selectors can never change, so neither the chart's nor the app's version is among them. */}}
{{- define "policy-report-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "policy-report-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: exporter
{{- end }}

{{- define "policy-report-exporter.labels" -}}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- toYaml (set (include "policy-report-exporter.podLabels" . | fromYaml) "helm.sh/chart" $chart) }}
{{- end }}

{{/* A pod does not carry the chart's version: each new chart would restart it. */}}
{{- define "policy-report-exporter.podLabels" -}}
{{- $own := dict
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "policy-report-exporter" }}
{{- toYaml (merge (include "policy-report-exporter.selectorLabels" . | fromYaml) $own .Values.commonLabels) }}
{{- end }}

{{/*
The head of an object: name, namespace, labels, annotations.
Takes a dict: root, and as needed suffix, namespace (false for cluster-scoped objects), labels, annotations.
*/}}
{{- define "policy-report-exporter.metadata" -}}
{{- $root := .root -}}
name: {{ include "policy-report-exporter.fullname" $root }}{{ with .suffix }}-{{ . }}{{ end }}
{{- if not (eq (toString .namespace) "false") }}
namespace: {{ default (include "policy-report-exporter.namespace" $root) .namespace }}
{{- end }}
labels:
  {{- toYaml (mergeOverwrite (include "policy-report-exporter.labels" $root | fromYaml) (default dict .labels)) | nindent 2 }}
{{- with merge (dict) (default dict .annotations) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "policy-report-exporter.serviceAccountName" -}}
{{- $generated := ternary (include "policy-report-exporter.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $generated .Values.serviceAccount.name }}
{{- end }}

{{- define "policy-report-exporter.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry }}
{{- $version := default .Chart.AppVersion .Values.image.tag | printf ":%s" }}
{{- with .Values.image.digest }}{{ $version = printf "@%s" . }}{{ end }}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}{{ $version }}
{{- end }}

{{- define "policy-report-exporter.pullSecrets" -}}
{{- $names := list }}
{{- range concat (default list .Values.global.imagePullSecrets) .Values.imagePullSecrets }}
{{- if kindIs "map" . }}{{ $names = append $names .name }}{{ else }}{{ $names = append $names . }}{{ end }}
{{- end }}
{{- with $names | uniq -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
A StatefulSet gives shards their ordinals, and promises at most one pod at a time to a volume claim: two writers of
one checkpoint would count twice.
*/}}
{{- define "policy-report-exporter.stateful" -}}
{{- if or (gt (int .Values.shards) 1) (and .Values.state.enabled .Values.state.persistence.enabled) }}true{{ end }}
{{- end }}

{{/* Whether the state is in a ConfigMap. */}}
{{- define "policy-report-exporter.stateObject" -}}
{{- $wanted := toString .Values.state.configMap.enabled }}
{{- if and .Values.state.enabled (or (eq $wanted "true") (and (eq $wanted "auto") (not .Values.state.persistence.enabled))) }}true{{ end }}
{{- end }}

{{/* Whether the state is in a directory: a claim, or an emptyDir where neither claim nor ConfigMap is wanted. */}}
{{- define "policy-report-exporter.stateDirectory" -}}
{{- if and .Values.state.enabled (or .Values.state.persistence.enabled (not (include "policy-report-exporter.stateObject" .))) }}true{{ end }}
{{- end }}

{{- define "policy-report-exporter.stateName" -}}
{{- $generated := printf "%s-state" (include "policy-report-exporter.fullname" . | trunc 57 | trimSuffix "-") }}
{{- default $generated .Values.state.configMap.name }}
{{- end }}

{{/* The names of the ConfigMaps with the state, one a line: one, or one for each shard. */}}
{{- define "policy-report-exporter.stateNames" -}}
{{- $name := include "policy-report-exporter.stateName" . }}
{{- if gt (int .Values.shards) 1 }}
{{- range until (int .Values.shards) }}
- {{ $name }}-{{ . }}
{{- end }}
{{- else }}
- {{ $name }}
{{- end }}
{{- end }}

{{- define "policy-report-exporter.pods" -}}
{{- max (int .Values.shards) (int .Values.replicas) }}
{{- end }}

{{/*
The configuration file, without empty sections. grafana.url and cluster.name fill the keys of it that are empty, so that
each is set once for the status page, the pushed alerts and the rules.
*/}}
{{- define "policy-report-exporter.config" -}}
{{- $given := deepCopy .Values.config }}
{{- with .Values.grafana.url }}
{{- if empty $given.grafana_url }}{{ $_ := set $given "grafana_url" . }}{{ end }}
{{- end }}
{{- with .Values.cluster.name }}
{{- if empty $given.cluster }}{{ $_ := set $given "cluster" . }}{{ end }}
{{- if empty (dig "alerting" "labels" "cluster" "" $given) }}
{{- $alerting := get $given "alerting" | default dict }}
{{- $labels := mergeOverwrite (dict) (get $alerting "labels" | default dict) (dict "cluster" .) }}
{{- $_ := set $given "alerting" (mergeOverwrite (dict) $alerting (dict "labels" $labels)) }}
{{- end }}
{{- end }}
{{- $config := dict }}
{{- range $key, $value := $given }}
{{- if not (and (kindIs "map" $value) (empty $value)) }}{{ $_ := set $config $key $value }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "policy-report-exporter.watchesEvents" -}}
{{- if dig "events" "watch" true .Values.config }}true{{ end }}
{{- end }}

{{- define "policy-report-exporter.watchesPolicies" -}}
{{- if dig "policies" "watch" true .Values.config }}true{{ end }}
{{- end }}

{{- define "policy-report-exporter.watchesMetadata" -}}
{{- if eq (dig "workloads" "watch" "none" .Values.config) "metadata" }}true{{ end }}
{{- end }}

{{- define "policy-report-exporter.watchesNamespaces" -}}
{{- if dig "labels" "namespace_labels" (list) .Values.config }}true{{ end }}
{{- end }}

{{/* Whether the objects of the Prometheus operator are wanted here. */}}
{{- define "policy-report-exporter.operator" -}}
{{- $wanted := toString .Values.monitoring.enabled }}
{{- if eq $wanted "auto" }}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}true{{ end }}
{{- else if eq $wanted "true" }}true{{ end }}
{{- end }}

{{/* Rules and dashboards belong to one release of a Prometheus and a Grafana; a secondary one brings none. */}}
{{- define "policy-report-exporter.primary" -}}
{{- if not .Values.secondary }}true{{ end }}
{{- end }}

{{- define "policy-report-exporter.monitoringNamespace" -}}
{{- default (include "policy-report-exporter.namespace" .) .Values.monitoring.namespace }}
{{- end }}

{{/*
A dashboard whose queries select by other labels than namespace and team. Its variables keep their names, so links to it keep
working: only queries, legends and the columns of tables change. Takes a dict: text, labels (new names by old ones), logql
(whether panels query Loki, whose lines keep their fields: then only variables change).
*/}}
{{- define "policy-report-exporter.dashboard" -}}
{{- $all := .text }}
{{- $logql := .logql }}
{{- $queries := $logql | ternary "query" "expr|query|definition" }}
{{- range $old, $new := .labels }}
{{- if ne $old $new }}
{{- $text := $all }}
{{- range regexFindAll (printf `"(?:%s)": "(?:[^"\\]|\\.)*"` $queries) $all -1 | uniq }}
{{- $text = replace . (regexReplaceAll (printf `([^$\w{-])%s\b` $old) . (printf "${1}%s" $new)) $text }}
{{- end }}
{{- $all = $text }}
{{- if not $logql }}
{{- $all = $text | replace (printf "%q:" $old) (printf "%q:" $new) | replace (printf "{{%s}}" $old) (printf "{{%s}}" $new) }}
{{- end }}
{{- end }}
{{- end }}
{{- $all }}
{{- end }}

{{/* Labels that the dashboards select by: those that Prometheus has for them, by the names in grafana/. */}}
{{- define "policy-report-exporter.dashboardLabels" -}}
{{- $owners := include "policy-report-exporter.ownershipLabels" . | splitList ", " }}
namespace: {{ .Values.monitoring.namespaceLabel }}
team: {{ has "team" $owners | ternary "team" (first $owners) }}
{{- end }}

{{/* Labels of namespaces as Prometheus spells them, with commas between; team where none are copied. */}}
{{- define "policy-report-exporter.ownershipLabels" -}}
{{- $labels := list }}
{{- range dig "labels" "namespace_labels" (list) .Values.config }}
{{- $labels = append $labels (regexReplaceAll "^[0-9]" (regexReplaceAll "[^a-zA-Z0-9_]" . "_") "_${0}") }}
{{- end }}
{{- get .Values.prometheusRule.settings "ownership_labels" | default (join ", " $labels) | default "team" | replace "," ", " | replace ",  " ", " }}
{{- end }}
