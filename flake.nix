# Wiring only: one input, the systems, one import per kind of output from nix/.
{
  description = "aiclipx: an observability stack that proves itself";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      systems = linux ++ [ "aarch64-darwin" ];
      forEach = names: f: lib.genAttrs names (system: f nixpkgs.legacyPackages.${system});
      # For the image's label and environment, and for bundles; never compiled in: the binary changes only with its source.
      revision = self.rev or self.dirtyRev or "unknown";
      toolsOf = pkgs: import ./nix/tools.nix { inherit pkgs lib; };
    in
    {
      packages = forEach systems (
        pkgs:
        import ./nix/packages.nix {
          inherit pkgs lib revision;
          tools = toolsOf pkgs;
          module = self.nixosModules.default;
        }
      );

      apps = forEach systems (
        pkgs:
        import ./nix/apps.nix {
          inherit (pkgs) lib writeShellApplication;
          inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) aiclipx;
          inherit revision;
        }
      );

      devShells = forEach systems (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix { tools = (toolsOf pkgs).all; };
      });

      checks = forEach systems (
        pkgs:
        import ./nix/checks.nix {
          inherit pkgs lib revision;
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
          tools = (toolsOf pkgs).test;
        }
      );

      # Built with the packages they are laid over.
      overlays.default = final: _: {
        aiclipx = final.callPackage ./nix/package.nix { runtimeTools = (toolsOf final).runtime; };
        aiclipx-app = final.callPackage ./nix/package.nix { static = "aiclipx-app"; };
      };

      # With a key, so that it may be imported from two places, and a name for errors to say.
      nixosModules.default = {
        _file = ./nix/module.nix;
        key = "aiclipx";
        imports = [ (import ./nix/module.nix (system: self.packages.${system}.app)) ];
      };

      formatter = forEach systems (pkgs: pkgs.nixfmt-tree);
    };
}
