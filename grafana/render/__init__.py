"""Pictures of the dashboards with real data, without Grafana: the panel kinds used, no more."""
