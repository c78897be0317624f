{{/*
The rule files of alerts/ (files/rules is a link to them), with their ${placeholders} filled in and the switches and
overrides of prometheusRule applied. Go templates of alerts stay as they are: only ${name} is replaced.
*/}}

{{/*
Defaults of the placeholders, changed by prometheusRule.settings. Unknown names are refused, and so are values that would
make a rule that Prometheus does not load.
*/}}
{{- define "policy-report-exporter.ruleSettings" -}}
{{- $settings := .Files.Get "files/rule-settings.yaml" | fromYaml }}
{{- range $name, $value := .Values.prometheusRule.settings }}
{{- if not (hasKey $settings $name) }}
{{- fail (printf "prometheusRule.settings.%s is unknown; there are %s." $name (keys $settings | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- $given := dict }}
{{- range $name, $value := .Values.prometheusRule.settings }}
{{- $text := include "policy-report-exporter.plainNumber" $value }}
{{- include "policy-report-exporter.checkSetting" (dict "name" $name "default" (get $settings $name | toString) "value" $text) }}
{{- $_ := set $given $name $text }}
{{- end }}
{{- with .Values.grafana.url }}{{ $_ := set $settings "grafana_url" (trimSuffix "/" .) }}{{ end }}
{{- $_ := set $settings "ownership_labels" (include "policy-report-exporter.ownershipLabels" .) }}
{{- toYaml (mergeOverwrite $settings $given) }}
{{- end }}

{{/* A value as text. Helm reads every number as a float, and would print 2592000 as 2.592e+06. */}}
{{- define "policy-report-exporter.plainNumber" -}}
{{- if kindIs "float64" . }}
{{- if eq (floor .) . }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- else }}{{ . }}{{ end }}
{{- end }}

{{/* A setting has the type of its default: a number, an address, label names, matchers, or a regular expression. */}}
{{- define "policy-report-exporter.checkSetting" -}}
{{- $where := printf "prometheusRule.settings.%s: %q is" .name .value }}
{{- if regexMatch "^[0-9.]+$" .default }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?$" .value) }}
{{- fail (printf "%s not a number, such as %s." $where .default) }}
{{- end }}
{{- else if hasSuffix "_url" .name }}
{{- if not (regexMatch "^(https?://[^\\s'\"{}]+)?$" .value) }}
{{- fail (printf "%s not an address that begins with http:// or https://." $where) }}
{{- end }}
{{- else if hasSuffix "_labels" .name }}
{{- if not (regexMatch "^[a-zA-Z_][a-zA-Z0-9_]*(, *[a-zA-Z_][a-zA-Z0-9_]*)*$" .value) }}
{{- fail (printf "%s not a list of Prometheus label names, such as \"team, app_kubernetes_io_part_of\"." $where) }}
{{- end }}
{{- else if contains "=\"" .default }}
{{- $matcher := "[a-zA-Z_][a-zA-Z0-9_]*(=|!=|=~|!~)\"([^\"\\\\\\n]|\\\\\\\\)*\"" }}
{{- if not (regexMatch (printf "^(%s(, *%s)*)?$" $matcher $matcher) .value) }}
{{- fail (printf "%s not a list of PromQL matchers, such as %s; in a value, each backslash must be doubled." $where .default) }}
{{- end }}
{{- range regexFindAll "~\"[^\"]*\"" .value -1 }}
{{- if not (regexMatch (printf "%s|" (. | trimPrefix "~" | trimAll "\"")) "") }}
{{- fail (printf "%s not usable in PromQL: %s is not a valid regular expression (RE2 syntax)." $where (trimPrefix "~" .)) }}
{{- end }}
{{- end }}
{{- else if or (contains "\"" .value) (contains "\n" .value) (replace "\\\\" "" .value | contains "\\") }}
{{- fail (printf "%s not usable in PromQL: it must have no quotes and no line breaks, and each backslash must be doubled." $where) }}
{{- else if not (regexMatch (printf "%s|" .value) "") }}
{{- fail (printf "%s not a valid regular expression (RE2 syntax)." $where) }}
{{- end }}
{{- end }}

{{/* The groups of one file. Takes a dict: root, settings, path. */}}
{{- define "policy-report-exporter.ruleGroups" -}}
{{- $text := .root.Files.Get .path }}
{{- range $name, $value := .settings }}
{{- $text = $text | replace (printf "${%s}" $name) (toString $value) }}
{{- end }}
{{- $file := fromYaml $text }}
{{- with get $file "Error" }}
{{- fail (printf "prometheusRule.settings make %s unreadable: %s" (base $.path) .) }}
{{- end -}}
groups:
{{- range $group := $file.groups }}
  {{- $rules := list }}
  {{- range $group.rules }}
  {{- if not (and .alert (get $.root.Values.prometheusRule.disabled .alert)) }}
  {{- $rules = append $rules (include "policy-report-exporter.rule" (dict "root" $.root "rule" .) | fromYaml) }}
  {{- end }}
  {{- end }}
  {{- if $rules }}
  {{- $own := get $.root.Values.prometheusRule.groups $group.name | default dict }}
  - {{ toYaml (mergeOverwrite $group $own (dict "rules" $rules)) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{/* One rule. Takes a dict: root, rule. */}}
{{- define "policy-report-exporter.rule" -}}
{{- $rule := .rule }}
{{- $label := .root.Values.monitoring.namespaceLabel }}
{{- if ne $label "namespace" }}
{{- $_ := set $rule "expr" (regexReplaceAll "\\bnamespace\\b" $rule.expr $label) }}
{{- range $key := list "labels" "annotations" }}
{{- with get $rule $key }}
{{- $_ := set $rule $key (regexReplaceAll "[$]labels[.]namespace\\b" (toYaml .) (printf "$$labels.%s" $label) | fromYaml) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .root.Values.prometheusRule }}
{{- if $rule.alert }}
{{- $override := get .overrides $rule.alert | default dict }}
{{- with get $override "for" }}{{ $_ := set $rule "for" . }}{{ end }}
{{- with $override.keepFiringFor }}{{ $_ := set $rule "keep_firing_for" . }}{{ end }}
{{- $labels := mergeOverwrite (dict) ($rule.labels | default dict) .additionalRuleLabels ($override.labels | default dict) }}
{{- with $override.severity }}{{ $_ := set $labels "severity" . }}{{ end }}
{{- $_ := set $rule "labels" $labels }}
{{- $_ := set $rule "annotations" (mergeOverwrite (dict) ($rule.annotations | default dict) .additionalRuleAnnotations ($override.annotations | default dict)) }}
{{- end }}
{{- end }}
{{- toYaml $rule }}
{{- end }}

{{/* Names under disabled, overrides and files must exist: a misspelt one would silently do nothing. */}}
{{- define "policy-report-exporter.checkRuleNames" -}}
{{- $alerts := list }}
{{- $files := list }}
{{- range $path, $content := .Files.Glob "files/rules/*.rules.yaml" }}
{{- $files = append $files (base $path | trimSuffix ".rules.yaml") }}
{{- $alerts = concat $alerts (regexFindAll "(?m)^ *- alert: .*$" (toString $content) -1) }}
{{- end }}
{{- $groups := list }}
{{- range $path, $content := .Files.Glob "files/rules/*.rules.yaml" }}
{{- $groups = concat $groups (regexFindAll "(?m)^ *- name: .*$" (toString $content) -1) }}
{{- end }}
{{- $known := dict "files" $files }}
{{- range $key, $lines := dict "disabled" $alerts "overrides" $alerts "groups" $groups }}
{{- $names := list }}
{{- range $lines }}{{ $names = append $names (splitList ": " . | last) }}{{ end }}
{{- $_ := set $known $key $names }}
{{- end }}
{{- range $key, $names := $known }}
{{- range $name, $value := get $.Values.prometheusRule $key }}
{{- if not (has $name $names) }}
{{- fail (printf "prometheusRule.%s.%s is unknown; there are %s." $key $name (sortAlpha $names | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
