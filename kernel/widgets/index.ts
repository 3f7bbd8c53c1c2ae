// Jupyter's widgets for cells: the global `widgets`.
export { AnyWidget } from "./any-widget.ts";
export { Button, Checkbox, Dropdown, FloatSlider, HBox, IntProgress, IntSlider, Text, VBox } from "./controls.ts";
export { interact } from "./interact.ts";
export { Output } from "./output.ts";
