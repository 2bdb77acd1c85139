import Box from "@cloudscape-design/components/box";
import Spinner from "@cloudscape-design/components/spinner";

export function Waiting({ what = "Loading" }: { what?: string }) {
  return (
    <Box padding="xl" textAlign="center" color="text-status-inactive">
      <Spinner /> {what}…
    </Box>
  );
}
