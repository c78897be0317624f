{{/* What the exporter reads, and nothing else: derived from the configuration. Lists and watches, never a single get. */}}

{{- define "policy-report-exporter.namespacedRules" -}}
{{- include "policy-report-exporter.rules" (dict "root" . "reports" (list "policyreports") "openreports" (list "reports") "kyverno" (list "policies") "prefixes" (list "namespaced")) }}
{{- end }}

{{- define "policy-report-exporter.clusterRules" -}}
{{- include "policy-report-exporter.rules" (dict "root" . "reports" (list "policyreports" "clusterpolicyreports") "openreports" (list "reports" "clusterreports") "kyverno" (list "clusterpolicies" "policies") "prefixes" (list "" "namespaced")) }}
{{- if include "policy-report-exporter.watchesNamespaces" . }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- else if gt (int .Values.shards) 1 }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list] # a shard lists long lists of reports by its own namespaces
{{- end }}
{{- end }}

{{- define "policy-report-exporter.rules" -}}
- apiGroups: [wgpolicyk8s.io]
  resources: [{{ join ", " .reports }}]
  verbs: [list, watch]
- apiGroups: [openreports.io]
  resources: [{{ join ", " .openreports }}]
  verbs: [list, watch]
{{- if include "policy-report-exporter.watchesEvents" .root }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, watch]
{{- end }}
{{- if include "policy-report-exporter.watchesPolicies" .root }}
- apiGroups: [kyverno.io]
  resources: [{{ join ", " .kyverno }}]
  verbs: [list, watch]
- apiGroups: [policies.kyverno.io]
  resources:
    {{- range $prefix := .prefixes }}
    {{- range $adjective := list "deleting" "generating" "imagevalidating" "mutating" "validating" }}
    - {{ $prefix }}{{ $adjective }}policies
    {{- end }}
    {{- end }}
  verbs: [list, watch]
{{- end }}
{{- if include "policy-report-exporter.watchesMetadata" .root }}
- apiGroups: [""]
  resources: [pods] # the exporter asks for metadata only
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch]
{{- end }}
{{- with .root.Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The UID of kube-system names the cluster, so that a checkpoint is never applied to another one. */}}
{{- define "policy-report-exporter.clusterIdRule" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end }}

{{- define "policy-report-exporter.binding" -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "policy-report-exporter.serviceAccountName" .root }}
    namespace: {{ include "policy-report-exporter.namespace" .root }}
{{- end }}
