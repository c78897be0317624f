// Rules, alerts and dashboards for policy-report-exporter. README.md has the settings.
local sources = import 'rules.json';

{
  _config+:: {
    // What the rules leave open; docs/alerting.md has the meanings.
    values: import 'values.json',
    // Which rule files to take.
    files: { recording: true, alerts: true, slo: false, 'kyverno-webhook': false, watchdog: false },
    // Names of alerts to leave out.
    disabled: [],
    // Fields of groups by name: { 'policy-violations': { interval: '2m', limit: 500 } }. Keep the minute of policy-report-news and
    // policy-report-dashboards: their windows count evaluations.
    groups: {},
    // Rules in one group at most, for Mimir's ruler_max_rules_per_rule_group; 0 is no limit. Parts of a group may see values that
    // are one evaluation old.
    maxRulesPerGroup: 0,
    // Labels on every alert.
    alertLabels: {},
  },

  local config = $._config,
  local named(part) =
    local end = std.findSubstr('}', part)[0];
    config.values[part[:end]] + part[end + 1:],
  local filled(text) =
    local parts = std.split(text, '${');
    std.join('', [parts[0]] + [named(part) for part in parts[1:]]),
  local complete(value) =
    if std.isString(value) then filled(value)
    else if std.isArray(value) then [complete(item) for item in value]
    else if std.isObject(value) then { [name]: complete(value[name]) for name in std.objectFields(value) }
    else value,
  local isAlert(rule) = std.objectHas(rule, 'alert'),
  local labelled(rule) =
    if isAlert(rule) then rule { labels+: config.alertLabels } else rule,
  local wanted(rule) = !isAlert(rule) || !std.member(config.disabled, rule.alert),
  local settings(group) = if std.objectHas(config.groups, group.name) then config.groups[group.name] else {},
  local parts(group) =
    local size = config.maxRulesPerGroup;
    local rules = group.rules;
    if size == 0 || std.length(rules) <= size then [group]
    else [
      group { name: '%s-%d' % [group.name, part + 1], rules: rules[part * size:(part + 1) * size] }
      for part in std.range(0, std.ceil(std.length(rules) / size) - 1)
    ],
  local groups = std.flattenArrays([
    parts(group { rules: [labelled(rule) for rule in group.rules if wanted(rule)] } + settings(group))
    for file in std.objectFields(config.files)
    if config.files[file]
    for group in complete(sources[file])
  ]),
  local alerting(group) = std.length(std.filter(isAlert, group.rules)) > 0,

  prometheusAlerts+:: { groups+: [group for group in groups if alerting(group)] },
  prometheusRules+:: { groups+: [group for group in groups if !alerting(group) && group.rules != []] },
  grafanaDashboards+:: (import 'dashboards.libsonnet'),
}
