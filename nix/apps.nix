# What `nix run` starts without a clone: the tool with its monitoring and scenarios beside it, `nix run FLAKE -- VERB …`, and
# each of the usual verbs under the justfile's name, `nix run FLAKE#VERB`. Where it writes the tool decides, here as everywhere:
# the store can't be written.
{
  lib,
  writeShellApplication,
  aiclipx,
  revision,
}:
let
  app =
    name:
    {
      description,
      verb ? "",
    }:
    {
      type = "app";
      program = lib.getExe (writeShellApplication {
        name = "aiclipx-${name}";
        # What lies in the store has no history for git to tell. A clone that AICLIPX_HOME names has: git is asked first.
        text = ''
          export AICLIPX_REVISION="''${AICLIPX_REVISION:-${revision}}"
          exec ${lib.getExe aiclipx} ${verb} "$@"
        '';
      });
      meta = { inherit description; };
    };
in
lib.mapAttrs app {
  default.description = "The tool itself: nix run FLAKE -- --help";
  up = {
    verb = "up";
    description = "Start the stack and wait until all of it is ready";
  };
  down = {
    verb = "down";
    description = "Stop the stack; its data stays";
  };
  status = {
    verb = "status";
    description = "Show every component of the running stack, its state and its URL";
  };
  logs = {
    verb = "logs";
    description = "Print the components' logs, merged by time";
  };
  traffic = {
    verb = "traffic";
    description = "Run scenarios against the running stack";
  };
  evidence = {
    verb = "evidence";
    description = "Collect and judge what the running stack shows; without a stack, prove";
  };
  prove = {
    verb = "prove";
    description = "Every experiment on a private stack; the last line on stdout is the bundle";
  };
  drill = {
    verb = "drill";
    description = "Live the unit tests of a folder of rules on a real Prometheus and Alertmanager";
  };
  verify = {
    verb = "verify";
    description = "Judge a bundle again, offline";
  };
}
