import { applyDensity, applyMode, Density, Mode } from "@cloudscape-design/global-styles";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { chosenMode } from "./mode";
import "./style.css";

applyMode(chosenMode() === "dark" ? Mode.Dark : Mode.Light);
// It carries the fonts: what is first seen does not wait for them.
void import("@cloudscape-design/global-styles/index.css");
applyDensity(Density.Compact);
const root = document.getElementById("app");
if (root) createRoot(root).render(<App />);
