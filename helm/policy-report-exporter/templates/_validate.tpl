{{/* Combinations that cannot work are refused here, each with what to do instead. */}}
{{- define "policy-report-exporter.validate" -}}
{{- if not .Values.enabled }}
{{- fail "enabled is false, but Helm still renders this chart. In Chart.yaml of the umbrella chart, add `condition: policy-report-exporter.enabled` to this dependency." }}
{{- end }}
{{- $pods := int (include "policy-report-exporter.pods" .) }}
{{- $claim := and .Values.state.enabled .Values.state.persistence.enabled }}
{{- if and (gt (int .Values.shards) 1) (gt (int .Values.replicas) 1) }}
{{- fail "shards and replicas are both above 1, but a shard is one pod. For redundant shards install a second release with secondary: true; the rules count each series once." }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) $claim }}
{{- fail "replicas is above 1 and state.persistence.enabled is true: a checkpoint belongs to one pod. Set replicas to 1, use shards, or leave persistence off." }}
{{- end }}
{{- if and .Values.state.persistence.existingClaim (gt $pods 1) }}
{{- fail "state.persistence.existingClaim is set, but there is more than one pod. If you leave it empty, each pod gets its own claim." }}
{{- end }}
{{- if and .Values.state.persistence.existingClaim (not $claim) }}
{{- fail "state.persistence.existingClaim is set but not used: set state.enabled and state.persistence.enabled to true." }}
{{- end }}
{{- if and (gt (int .Values.shards) 1) (semverCompare "<1.28.0-0" .Capabilities.KubeVersion.Version) }}
{{- fail (printf "shards is above 1, which needs Kubernetes 1.28 (a pod reads its ordinal from the label apps.kubernetes.io/pod-index); this cluster has %s." .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if and .Values.namespaces (include "policy-report-exporter.watchesNamespaces" .) }}
{{- fail "namespaces is set and config.labels.namespace_labels is not empty: labels of namespaces can only be read with a ClusterRole. Leave one of them empty." }}
{{- end }}
{{- if and .Values.namespaces .Values.rbac.existingClusterRole }}
{{- fail "namespaces and rbac.existingClusterRole are both set, but the ClusterRole would be bound for the whole cluster. Leave one of them empty, or set rbac.create to false and bind the role yourself." }}
{{- end }}
{{- if and .Values.web.tls (not .Values.web.existingSecret) }}
{{- fail "web.tls is true but web.existingSecret is empty: TLS is enabled by the web configuration file in that secret." }}
{{- end }}
{{- if and .Values.alertmanager.existingSecret (not .Values.alertmanager.urls) (not (dig "alerting" "alertmanagers" (list) .Values.config)) }}
{{- fail "alertmanager.existingSecret is set, but neither alertmanager.urls nor config.alerting.alertmanagers: name an Alertmanager, or remove the secret." }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true: every pod would be scraped twice. Set one of them to false." }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create }}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: the roles would be bound to the ServiceAccount `default`, and so to every pod of the namespace. Name one, or set rbac.create to false." }}
{{- end }}
{{- if and .Values.podDisruptionBudget.enabled (eq $pods 1) (not (empty .Values.podDisruptionBudget.minAvailable)) }}
{{- fail "podDisruptionBudget.minAvailable is set and there is one pod: its node could never be drained. Use maxUnavailable, or more replicas." }}
{{- end }}
{{- if and .Values.verticalPodAutoscaler.enabled (not (.Capabilities.APIVersions.Has "autoscaling.k8s.io/v1")) }}
{{- fail "verticalPodAutoscaler.enabled is true, but the cluster does not serve autoscaling.k8s.io/v1. Install the autoscaler first; with helm template, add --api-versions autoscaling.k8s.io/v1." }}
{{- end }}
{{- if and .Values.dashboards.grafanaOperator.enabled (not .Values.dashboards.enabled) }}
{{- fail "dashboards.grafanaOperator.enabled is true and dashboards.enabled is false: the GrafanaDashboard resources read the dashboards' ConfigMaps. Set both to true." }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.enabled is true and ingress.hosts is empty: name the hosts of the status page." }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled is true and httpRoute.parentRefs is empty: name the Gateway that serves the route." }}
{{- end }}
{{- include "policy-report-exporter.validateClaims" . }}
{{- include "policy-report-exporter.validateSecond" . }}
{{- include "policy-report-exporter.validateReach" . }}
{{- include "policy-report-exporter.validateBirths" . }}
{{- end }}

{{/* The NetworkPolicy allows traffic to DNS and the API server only. */}}
{{- define "policy-report-exporter.validateReach" -}}
{{- with .Values.networkPolicy }}
{{- if and .enabled (not .egress.extra) }}
{{- $ports := list }}
{{- if ne .flavor "cilium" }}{{ range .egress.apiServerPorts }}{{ $ports = append $ports (toString .) }}{{ end }}{{ end }}
{{- $urls := $.Values.alertmanager.urls }}
{{- range dig "alerting" "alertmanagers" (list) $.Values.config }}{{ $urls = append $urls .url }}{{ end }}
{{- range $urls }}
{{- $url := urlParse . }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- if not (has $port $ports) }}
{{- fail (printf "networkPolicy.enabled is true and does not allow traffic to %s: allow your Alertmanagers in networkPolicy.egress.extra." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
increase() does not count what a counter had when Prometheus first scraped it, so the exporter holds each new counter at 0
for config.birth_hold seconds. An empty interval means that of the Prometheus, one minute where nothing else is set.
*/}}
{{- define "policy-report-exporter.validateBirths" -}}
{{- $interval := .Values.serviceMonitor.interval }}
{{- $hold := dig "birth_hold" 35 .Values.config | float64 }}
{{- $seconds := include "policy-report-exporter.seconds" (default "1m" $interval) | float64 }}
{{- if or .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- if and (gt $hold 0.0) (lt $hold $seconds) }}
{{- $what := ternary (printf "is %s" $interval) "is empty (Prometheus' own default, up to 1m)" (not (empty $interval)) }}
{{- fail (printf "serviceMonitor.interval %s and config.birth_hold is only %v seconds: Prometheus would not count the first violations of new counters. Set config.birth_hold to slightly more than the interval, or to 0 if you do not need them." $what $hold) }}
{{- end }}
{{- with .Values.serviceMonitor.scrapeTimeout }}
{{- if and $interval (gt (include "policy-report-exporter.seconds" . | float64) $seconds) }}
{{- fail (printf "serviceMonitor.scrapeTimeout is %s, which is longer than serviceMonitor.interval (%s). Prometheus refuses this." . $interval) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Prometheus duration such as 1m30s, in seconds. */}}
{{- define "policy-report-exporter.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800 "y" 31536000 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 }}
{{- $sum = addf $sum (mulf (regexFind "^[0-9]+" . | float64) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- $sum }}
{{- end }}

{{/* volumeClaimTemplates of a StatefulSet cannot change. Only an upgrade through Helm itself can look up what is there. */}}
{{- define "policy-report-exporter.validateClaims" -}}
{{- if and .Release.IsUpgrade (include "policy-report-exporter.stateful" .) }}
{{- $name := include "policy-report-exporter.fullname" . }}
{{- $namespace := include "policy-report-exporter.namespace" . }}
{{- $wanted := and .Values.state.enabled .Values.state.persistence.enabled (not .Values.state.persistence.existingClaim) }}
{{- $found := lookup "apps/v1" "StatefulSet" $namespace $name | default dict }}
{{- if $found }}
{{- $has := not (empty (dig "spec" "volumeClaimTemplates" list $found)) }}
{{- if ne $has (not (not $wanted)) }}
{{- fail (printf "the StatefulSet %s runs %s volume claims, but these values configure it %s. Kubernetes cannot change this in place. Run `kubectl --namespace %s delete statefulset %s --cascade=orphan`, then repeat the upgrade. The pods keep running until they are replaced." $name (ternary "with" "without" $has) (ternary "with" "without" (not (not $wanted))) $namespace $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Rules of two releases for one Prometheus send every alert twice, and Grafana refuses their dashboards. Only an installation
through Helm itself can look up what is there; rules that other labels select are for another Prometheus.
*/}}
{{- define "policy-report-exporter.validateSecond" -}}
{{- $wanted := and .Values.prometheusRule.enabled (include "policy-report-exporter.primary" .) (include "policy-report-exporter.operator" .) }}
{{- if and $wanted (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}
{{- $namespace := include "policy-report-exporter.monitoringNamespace" . }}
{{- $own := merge (dict) .Values.prometheusRule.labels .Values.monitoring.labels }}
{{- $found := lookup "monitoring.coreos.com/v1" "PrometheusRule" $namespace "" | default dict }}
{{- range get $found "items" | default list }}
{{- $labels := .metadata.labels | default dict }}
{{- $ours := eq "policy-report-exporter" (get $labels "app.kubernetes.io/part-of" | default "") }}
{{- $same := true }}
{{- range $key, $value := $own }}{{ if ne $value (get $labels $key | default "") }}{{ $same = false }}{{ end }}{{ end }}
{{- $release := get $labels "app.kubernetes.io/instance" | default "" }}
{{- if and $ours $same (ne $release $.Release.Name) }}
{{- fail (printf "the release %s already installs rules and dashboards in the namespace %s: set secondary to true for this release, or every alert is sent twice." $release $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
