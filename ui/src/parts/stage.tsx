// The stage that a launch is in, and for how long.

import Box from "@cloudscape-design/components/box";
import { duration } from "../format";
import { useNow } from "../live";
import type { LaunchStep } from "../wire";

const BUSY = ["CREATING", "UPDATING", "ROLLING_BACK"];

export function Stage({ launch, status }: { launch: LaunchStep[]; status: string }) {
  const open = BUSY.includes(status) ? launch.filter((step) => step.took_ms === null) : [];
  const now = useNow(open.length > 0);
  const began = launch[0]?.began_ms;
  if (open.length === 0 || began === undefined) return null;
  return (
    <Box color="text-body-secondary" fontSize="body-s">
      {open.map((step) => step.stage).join(", ")}, {duration(Math.max(0, now - began))}
    </Box>
  );
}
