# The service as a NixOS service, at production speed, with faults off. systemd keeps from it all it doesn't need: it is one
# static process that listens on two ports, writes to stdout and reads no file.
package:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.aiclipx;
  # As the service reads it.
  text = value: if lib.isBool value then (if value then "on" else "off") else toString value;
in
{
  options.services.aiclipx = {
    enable = lib.mkEnableOption "aiclipx-app, the monitored service";
    package = lib.mkOption {
      type = lib.types.package;
      default = package pkgs.stdenv.hostPlatform.system;
      defaultText = lib.literalExpression "the flake's `app`";
      description = "The package that brings `bin/aiclipx-app`.";
    };
    address = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      description = "Where it listens. An IPv6 address stands in brackets.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = 8080;
      description = "The port it listens on; an unprivileged one.";
    };
    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether others may reach the port; the monitoring's is not among them.";
    };
    adminAddress = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      description = ''
        Where it listens to the monitoring, with connections of its own. If a Prometheus on another
        machine shall scrape it, name an address which only that one reaches, and open the firewall.
      '';
    };
    adminPort = lib.mkOption {
      type = lib.types.port;
      default = 8081;
      description = "The port of `adminAddress`; an unprivileged one.";
    };
    settings = lib.mkOption {
      type = lib.types.attrsOf (
        lib.types.oneOf [
          lib.types.bool
          lib.types.int
          lib.types.str
        ]
      );
      default = { };
      example = {
        APP_LOG = "debug";
        APP_ACCESS_LOG = false;
        APP_MAX_CONNECTIONS = 500;
        APP_DRAIN_DELAY = "5s";
      };
      description = ''
        Further settings, by the names `aiclipx-app --help` lists; true and false are its `on` and
        `off`. No secret among them.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.port >= 1024 && cfg.adminPort >= 1024;
        message = "services.aiclipx.port, .adminPort: below 1024 it takes a privilege";
      }
      {
        assertion = cfg.port != cfg.adminPort || cfg.address != cfg.adminAddress;
        message = "services.aiclipx.port, .adminPort: move one of them";
      }
      {
        assertion = !(cfg.settings ? APP_LISTEN);
        message = "services.aiclipx.settings.APP_LISTEN: say it with .address and .port";
      }
      {
        assertion = !(cfg.settings ? APP_ADMIN_LISTEN);
        message = "services.aiclipx.settings.APP_ADMIN_LISTEN: use .adminAddress, .adminPort";
      }
    ];
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];
    systemd.services.aiclipx = {
      description = "aiclipx-app";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      environment = {
        APP_LISTEN = "${cfg.address}:${toString cfg.port}";
        APP_ADMIN_LISTEN = "${cfg.adminAddress}:${toString cfg.adminPort}";
      }
      // lib.mapAttrs (_: text) cfg.settings;
      serviceConfig = {
        ExecStart = lib.getExe' cfg.package "aiclipx-app";
        Restart = "on-failure";
        RestartSec = 1;
        # Its drain delay and its deadline, and some more.
        TimeoutStopSec = 60;
        KillSignal = "SIGTERM";
        # Told to stop twice it ends at once, in order.
        SuccessExitStatus = 130;

        DynamicUser = true;
        AmbientCapabilities = "";
        CapabilityBoundingSet = "";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        PrivateUsers = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        # Its own use of memory and processor it reads in /proc (and the boot time, so not ProcSubset); of others nothing.
        ProtectProc = "invisible";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RemoveIPC = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
        SystemCallErrorNumber = "EPERM";
        UMask = "0077";
        # The host's to change.
        MemoryMax = lib.mkDefault "64M";
        TasksMax = lib.mkDefault 64;
        LimitNOFILE = lib.mkDefault 4096;
      };
    };
  };
}
