#!/usr/bin/env bash
# Write the files of a release into a directory: manifests, rules, dashboards. Needs kubectl.
set -euo pipefail

version=$1 dist=$2
cd "$(dirname "$0")/.."
mkdir -p "$dist"
kubectl kustomize deploy/base > "$dist/policy-report-exporter.yaml"
kubectl kustomize deploy/overlays/kube-prometheus-stack > "$dist/kube-prometheus-stack.yaml"
tar --create --gzip --file "$dist/alerts-$version.tar.gz" alerts/*.rules.yaml alerts/prometheusrule*.yaml
make dashboards ARGS="--release build/dashboards"
tar --create --gzip --file "$dist/dashboards-$version.tar.gz" --directory build/dashboards .
