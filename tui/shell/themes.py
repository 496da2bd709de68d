"""The workbench's own themes, beside Textual's."""

from textual.theme import Theme

DEFAULT_THEME = "graphite"

# The greys are nearly neutral: 256 colours have greys, but no dark bluish ones.
GRAPHITE = Theme(
    name="graphite",
    primary="#5fc3b4",
    secondary="#86a5cf",
    accent="#f0b26a",
    success="#8fcf7f",
    warning="#e8c468",
    error="#ea7680",
    foreground="#d9dde5",
    background="#14161a",
    surface="#1a1d22",
    panel="#23272e",
    dark=True,
    variables={
        "border": "#3a3f49",
        "scrollbar": "#2e333b",
        "scrollbar-background": "#1a1d22",
        "scrollbar-background-hover": "#1a1d22",
        "scrollbar-background-active": "#1a1d22",
        "scrollbar-corner-color": "#1a1d22",
        "border-blurred": "#2d3138",
        "footer-background": "#1a1d22",
        "footer-key-foreground": "#f0b26a",
        "footer-description-foreground": "#9aa2b0",
        "block-cursor-background": "#5fc3b4",
        "block-cursor-foreground": "#10201d",
        "block-cursor-blurred-background": "#2c3a40",
        "input-selection-background": "#5fc3b4 30%",
    },
)

DUSK = Theme(
    name="dusk",
    primary="#b69cf2",
    secondary="#7fb4e6",
    accent="#f29bb7",
    success="#93d4a0",
    warning="#ecc889",
    error="#f2788a",
    foreground="#e2ddec",
    background="#17131f",
    surface="#1e1928",
    panel="#282235",
    dark=True,
    variables={
        "border": "#433a56",
        "scrollbar": "#372e48",
        "scrollbar-background": "#1e1928",
        "scrollbar-background-hover": "#1e1928",
        "scrollbar-background-active": "#1e1928",
        "scrollbar-corner-color": "#1e1928",
        "border-blurred": "#342c44",
        "footer-background": "#1e1928",
        "footer-key-foreground": "#f29bb7",
        "footer-description-foreground": "#a59cb8",
        "block-cursor-background": "#b69cf2",
        "block-cursor-foreground": "#1b1329",
        "block-cursor-blurred-background": "#3a3150",
        "input-selection-background": "#b69cf2 30%",
    },
)

PAPER = Theme(
    name="paper",
    primary="#0f766e",
    secondary="#3d5f8a",
    accent="#a8500a",
    success="#3c7a2a",
    warning="#946200",
    error="#b3261e",
    foreground="#2b2822",
    background="#fbf8f1",
    surface="#f4efe4",
    panel="#e9e2d3",
    dark=False,
    variables={
        "border": "#bdb29c",
        "scrollbar": "#cfc5b0",
        "scrollbar-background": "#f4efe4",
        "scrollbar-background-hover": "#f4efe4",
        "scrollbar-background-active": "#f4efe4",
        "scrollbar-corner-color": "#f4efe4",
        "border-blurred": "#d5ccba",
        "footer-background": "#efe9dc",
        "footer-key-foreground": "#a8500a",
        "footer-description-foreground": "#5f594d",
        "block-cursor-background": "#0f766e",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#cfe0da",
        "input-selection-background": "#0f766e 25%",
    },
)

THEMES = (GRAPHITE, DUSK, PAPER)
