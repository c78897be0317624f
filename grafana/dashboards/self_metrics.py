"""PromQL about the exporter itself, within the job and the instances that the reader chose."""

TARGET = 'cluster=~"$cluster",job=~"$job",instance=~"$instance"'
PREFIX = "policyreport_exporter"
# Process metrics have no prefix of ours: the job may scrape other programs too.
MINE = (
    "on (cluster, job, instance) group_left () "
    f"group by (cluster, job, instance) ({PREFIX}_build_info{{{TARGET}}})"
)


def own(family: str, *matchers: str) -> str:
    """Return the selector of one of the exporter's own families."""
    return f"{PREFIX}_{family}{{{','.join((TARGET, *matchers))}}}"


def per_second(family: str) -> str:
    """Return how fast one of the exporter's own counters grows."""
    return f"rate({own(family)}[$__rate_interval])"
