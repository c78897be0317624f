{{/* The pod, the same in a Deployment and in a StatefulSet. */}}
{{- define "policy-report-exporter.pod" -}}
metadata:
  labels:
    {{- toYaml (mergeOverwrite (include "policy-report-exporter.podLabels" . | fromYaml) .Values.podLabels (include "policy-report-exporter.selectorLabels" . | fromYaml)) | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: exporter
    checksum/config: {{ include "policy-report-exporter.config" . | sha256sum }}
    {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "policy-report-exporter.serviceAccountName" . }}
  automountServiceAccountToken: true
  # Variables made for Services would be taken for this program's flags: POLICY_REPORT_EXPORTER_...
  enableServiceLinks: false
  {{- with include "policy-report-exporter.pullSecrets" . }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "policy-report-exporter.container" . | nindent 6 | trim }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "policy-report-exporter.volumes" . | nindent 4 }}
  {{- with include "policy-report-exporter.scheduling" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "policy-report-exporter.container" -}}
name: exporter
image: {{ include "policy-report-exporter.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  {{- include "policy-report-exporter.args" . | nindent 2 }}
{{- if or .Values.env (gt (int .Values.shards) 1) }}
env:
  {{- if gt (int .Values.shards) 1 }}
  - name: POD_INDEX
    valueFrom:
      fieldRef:
        fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: http
    containerPort: {{ .Values.service.port }}
    protocol: TCP
{{- range $probe := list "livenessProbe" "readinessProbe" "startupProbe" }}
{{- with get $.Values $probe }}
{{ $probe }}:
  {{- if and $.Values.web.tls (hasKey . "httpGet") }}
  {{- toYaml (mergeOverwrite (deepCopy .) (dict "httpGet" (dict "scheme" "HTTPS"))) | nindent 2 }}
  {{- else }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
{{- with .Values.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/policy-report-exporter/config
    readOnly: true
  {{- if include "policy-report-exporter.stateDirectory" . }}
  - name: state
    mountPath: /var/lib/policy-report-exporter
  {{- end }}
  {{- if .Values.web.existingSecret }}
  - name: web
    mountPath: /etc/policy-report-exporter/web
    readOnly: true
  {{- end }}
  {{- if .Values.alertmanager.existingSecret }}
  - name: alertmanager
    mountPath: /etc/policy-report-exporter/alertmanager
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "policy-report-exporter.args" -}}
- serve
- --config.file=/etc/policy-report-exporter/config/config.yaml
- --web.listen-address=:{{ .Values.service.port }}
- --web.telemetry-path={{ .Values.web.telemetryPath }}
- --log.level={{ .Values.log.level }}
- --log.format={{ .Values.log.format }}
{{- range .Values.namespaces }}
- --namespace={{ . }}
{{- end }}
{{- if gt (int .Values.shards) 1 }}
- --shard=$(POD_INDEX)/{{ .Values.shards }}
{{- end }}
{{- if include "policy-report-exporter.stateDirectory" . }}
- --state.dir=/var/lib/policy-report-exporter
{{- end }}
{{- if include "policy-report-exporter.stateObject" . }}
- --state.configmap={{ include "policy-report-exporter.stateName" . }}{{ if gt (int .Values.shards) 1 }}-$(POD_INDEX){{ end }}
{{- end }}
{{- if .Values.web.existingSecret }}
- --web.config.file=/etc/policy-report-exporter/web/{{ .Values.web.configKey }}
{{- end }}
{{- range .Values.alertmanager.urls }}
- {{ printf "--alertmanager.url=%s" . | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "policy-report-exporter.volumes" -}}
- name: config
  configMap:
    name: {{ include "policy-report-exporter.fullname" . }}
{{- if include "policy-report-exporter.stateDirectory" . }}
{{- if not .Values.state.persistence.enabled }}
- name: state
  emptyDir:
    sizeLimit: {{ .Values.state.sizeLimit }}
{{- else if .Values.state.persistence.existingClaim }}
- name: state
  persistentVolumeClaim:
    claimName: {{ .Values.state.persistence.existingClaim }}
{{- end }}
{{- end }}
{{- with .Values.web.existingSecret }}
- name: web
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.alertmanager.existingSecret }}
- name: alertmanager
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "policy-report-exporter.scheduling" -}}
{{- range $key := list "nodeSelector" "tolerations" "dnsConfig" "hostAliases" }}
{{- with get $.Values $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" "dnsPolicy" }}
{{- with get $.Values $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- tpl (ternary . (toYaml .) (kindIs "string" .)) $ | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $own := dict "labelSelector" (dict "matchLabels" (include "policy-report-exporter.selectorLabels" $ | fromYaml)) }}
  - {{ toYaml (merge (deepCopy .) (ternary dict $own (hasKey . "labelSelector"))) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- if kindIs "bool" .Values.hostUsers }}
hostUsers: {{ .Values.hostUsers }}
{{- end }}
{{- end }}
