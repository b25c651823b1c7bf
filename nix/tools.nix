# scripts/tools.tsv as nixpkgs' packages: `test` is what that column needs, `all` the whole table, `runtime` what the tool
# itself starts. One table for Debian and Nix, so that they can't disagree on what the project needs.
{ pkgs, lib }:
let
  lines = lib.filter (line: line != "" && !lib.hasPrefix "#" line) (
    lib.splitString "\n" (builtins.readFile ../scripts/tools.tsv)
  );
  cells = map (lib.splitString "\t") lines;
  rows = map (row: lib.listToAttrs (lib.zipListsWith lib.nameValuePair (lib.head cells) row)) (
    lib.tail cells
  );
  # Some are for Linux only (setpriv, debootstrap, Chromium).
  package = row: lib.getAttrFromPath (lib.splitString "." row.nix) pkgs;
  packages =
    wanted:
    lib.unique (
      lib.filter (lib.meta.availableOn pkgs.stdenv.hostPlatform) (
        map package (lib.filter (row: row.nix != "-" && wanted row) rows)
      )
    );
in
{
  # Without what builds the programs; with Grafana and log forwarding, which only Nix brings.
  runtime = packages (
    row:
    row.demo != "-"
    && !lib.elem row.command [
      "just"
      "git"
      "cargo"
      "rustc"
    ]
  );
  test = packages (row: row.test == "needed");
  all = packages (_: true);
}
