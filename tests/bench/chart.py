"""The chart of the README."""

WIDTH, LEFT, RIGHT = 760, 130, 150
BAR, GROUP, TOP = 20, 84, 48
STYLE = (
    ".page{fill:#fff}.text{fill:#1f2328}.faint{fill:#59636e}.ours{fill:#0969da}.peer{fill:#bf8700}"
    "@media(prefers-color-scheme:dark){.page{fill:#0d1117}.text{fill:#f0f6fc}.faint{fill:#9198a1}"
    ".ours{fill:#4493f8}.peer{fill:#d29922}}"
)
NAMES = {"ours": "this server", "peer": "Python peer"}


def bar(who, rates, top):
    """Returns the bar of a server with its name and rate, `top` pixels below the top."""
    length = (WIDTH - LEFT - RIGHT) * rates[who] / max(rates.values())
    said = f"{rates[who]:,.0f}"
    if who == "ours":
        ratio = rates["ours"] / rates["peer"]
        said += f" ({ratio:.{0 if ratio >= 10 else 1}f} ×)"
    return (
        f'<text class="faint" x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{NAMES[who]}</text>'
        f'<rect class="{who}" x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}"/>'
        f'<text class="text" x="{LEFT + length + 6:.0f}" y="{top + 15}">{said}</text>'
    )


def chart(routes, where):
    """Returns an SVG with two bars for each route: requests per second of ours and of the Python
    peer, on a scale of its own. `routes`: the rates of both by the route's name; `where`: the
    machine."""
    groups = []
    for number, (name, rates) in enumerate(routes.items()):
        top = TOP + number * GROUP
        groups.append(
            f'<text class="text" x="{LEFT}" y="{top + 14}">{name}</text>'
            + bar("ours", rates, top + 22)
            + bar("peer", rates, top + 22 + BAR + 4)
        )
    height = TOP + len(groups) * GROUP + 26
    title = "Requests per second over the Unix socket, each route on its own scale"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title><style>{STYLE}</style>'
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>'
        f'<text class="text" x="{LEFT}" y="28" font-weight="bold">{title}</text>'
        + "".join(groups)
        + f'<text class="faint" x="{LEFT}" y="{height - 12}" font-size="11">{where}</text></svg>\n'
    )
