"""How the page looks: one accent colour, the system's own fonts, and nothing that is fetched from elsewhere."""

from typing import Any

ACCENT = "#1482ff"  # draw.AZURE, in which finds are drawn

CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
#head { padding: 18px 4px 6px; }
#head h1 { font-size: 1.55rem; font-weight: 700; letter-spacing: -0.02em; margin: 0; }
#head h1 b { color: var(--primary-600); font-weight: 700; }
#head p { color: var(--body-text-color-subdued); margin: 2px 0 0; }
.step h3 { font-size: 0.95rem; font-weight: 600; margin: 2px 0; }
.step p, .hint p { color: var(--body-text-color-subdued); font-size: 0.9rem; margin: 0; }
.empty { border: 1px dashed var(--border-color-primary); border-radius: 8px; padding: 12px 16px; text-align: center; }
.empty .empty { border: 0; padding: 0; }
.empty p { color: var(--body-text-color-subdued); margin: 0; }
.said p { font-variant-numeric: tabular-nums; margin: 0; }
#marking img, #reviewing img, #frame img { cursor: crosshair; }
.gallery-item .caption-label, .caption-label { max-width: 100%; white-space: normal; }
footer { opacity: 0.6; }
"""


def theme() -> Any:
    import gradio as gr

    blue = gr.themes.Color(
        name="azure",
        c50="#eef6ff",
        c100="#d8eaff",
        c200="#b3d6ff",
        c300="#82bbff",
        c400="#4a9dff",
        c500=ACCENT,
        c600="#0c6fe0",
        c700="#0b5ab6",
        c800="#0e4a90",
        c900="#123f74",
        c950="#0c284b",
    )
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return gr.themes.Base(
        primary_hue=blue,
        secondary_hue=blue,
        neutral_hue="slate",
        radius_size="md",
        font=fonts,
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        block_border_width="1px",
        block_shadow="none",
    )


def step(title: str, text: str = "") -> None:
    """The heading of a step, and what is done in it."""
    import gradio as gr

    gr.Markdown(f"### {title}\n{text}", elem_classes="step", container=False)
