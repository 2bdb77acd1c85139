// Opens Airflow's own UI, logged in, as oneself or with another role.

import ButtonDropdown from "@cloudscape-design/components/button-dropdown";
import { send } from "../api";
import { failed } from "./notices";

export const ROLES = ["Admin", "Op", "User", "Viewer", "Public"];

export function OpenAirflow({ name, usable, primary = false }: { name: string; usable: boolean; primary?: boolean }) {
  const open = async (role?: string) => {
    // Opened at once, because a browser lets no page open others later.
    const page = window.open("about:blank", "_blank");
    try {
      const { url } = await send<{ url: string }>("POST", "web-login", { environment: name, ...(role ? { role } : {}) });
      if (page) {
        page.opener = null;
        page.location.href = url;
      } else window.location.href = url;
    } catch (error) {
      page?.close();
      failed(error);
    }
  };
  return (
    <ButtonDropdown
      variant={primary ? "primary" : "normal"}
      disabled={!usable}
      mainAction={{ text: "Open Airflow UI", onClick: () => void open(), disabled: !usable }}
      ariaLabel="Open Airflow UI as"
      items={[{ text: "As role", items: ROLES.map((role) => ({ id: role, text: role })) }]}
      onItemClick={({ detail }) => void open(detail.id)}
      expandToViewport
    />
  );
}
