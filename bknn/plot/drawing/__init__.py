"""How figures look, whatever they show: style, axes, labels, lines, files."""
