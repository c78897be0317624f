{{/*
The rule files of alerts/, as copied to files/rules, with their ${placeholders} filled in and the switches and overrides
of prometheusRule applied. Go templates of alerts stay as they are: only ${name} is replaced.
*/}}

{{/* Defaults of the placeholders, changed by prometheusRule.settings; unknown names are refused. */}}
{{- define "policy-report-exporter.ruleSettings" -}}
{{- $settings := .Files.Get "files/rules/values.yaml" | fromYaml }}
{{- range $name, $value := .Values.prometheusRule.settings }}
{{- if not (hasKey $settings $name) }}
{{- fail (printf "prometheusRule.settings.%s is unknown; there are %s." $name (keys $settings | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- $labels := list }}
{{- range dig "labels" "namespace_labels" (list) .Values.config }}
{{- $labels = append $labels (regexReplaceAll "^[0-9]" (regexReplaceAll "[^a-zA-Z0-9_]" . "_") "_${0}") }}
{{- end }}
{{- with $labels }}{{ $_ := set $settings "ownership_labels" (join ", " .) }}{{ end }}
{{- toYaml (mergeOverwrite $settings .Values.prometheusRule.settings) }}
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
  - {{ toYaml (set $group "rules" $rules) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{/* One rule; recording rules pass unchanged. Takes a dict: root, rule. */}}
{{- define "policy-report-exporter.rule" -}}
{{- $rule := .rule }}
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
{{- $known := dict "files" $files }}
{{- range $key := list "disabled" "overrides" }}
{{- $names := list }}
{{- range $alerts }}{{ $names = append $names (splitList ": " . | last) }}{{ end }}
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
