"""Costs of a network part by part, so that a difference names the part."""


def itemised(summary):
    """{part: (parameters, multiply-adds)} of the Sequential that was summarised."""
    parts = {}
    for row in summary.rows:
        name = row.name.split(".")[0]
        parameters, madds = parts.get(name, (0, 0))
        parts[name] = parameters + row.parameters, madds + row.madds
    return parts
