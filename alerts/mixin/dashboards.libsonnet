// The dashboards as grafana/ has them; jsonnetfile.json vendors that directory.
{
  'policy-enforcement.json': import 'github.com/policy-report-exporter/policy-report-exporter/grafana/policy-enforcement.json',
  'policy-exporter.json': import 'github.com/policy-report-exporter/policy-report-exporter/grafana/policy-exporter.json',
  'policy-fleet.json': import 'github.com/policy-report-exporter/policy-report-exporter/grafana/policy-fleet.json',
  'policy-namespace.json': import 'github.com/policy-report-exporter/policy-report-exporter/grafana/policy-namespace.json',
  'policy-overview.json': import 'github.com/policy-report-exporter/policy-report-exporter/grafana/policy-overview.json',
  'policy-policy.json': import 'github.com/policy-report-exporter/policy-report-exporter/grafana/policy-policy.json',
}
