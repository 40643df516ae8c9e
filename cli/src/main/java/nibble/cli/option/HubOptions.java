package nibble.cli.option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import nibble.cli.terminal.Terminal;
import nibble.files.Reasons;
import nibble.hub.client.HubSettings;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * Holds the options for which hub, and who asks. Without options as the hub's own tools: HF_ENDPOINT, HF_TOKEN,
 * HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE.
 */
public final class HubOptions {
    @Option(
            names = "--endpoint",
            paramLabel = "URL",
            description = "Address of the hub. Default: $HF_ENDPOINT, otherwise https://huggingface.co.")
    private @Nullable String endpoint;

    @Option(
            names = "--token-file",
            paramLabel = "FILE",
            description =
                    "File with the access token. Default: $HF_TOKEN, otherwise the token file of the hub's own tools.")
    private @Nullable Path tokenFile;

    @Option(
            names = "--token",
            paramLabel = "TOKEN",
            description = "The access token. Other users of this machine can see it in the process list.")
    private @Nullable String token;

    public HubSettings settings(Terminal terminal) {
        Optional<String> flag = Optional.ofNullable(token);
        if (tokenFile != null) {
            try {
                flag = Optional.of(Files.readString(tokenFile));
            } catch (IOException e) {
                throw new UsageException("--token-file " + tokenFile + ": cannot be read: " + Reasons.of(e));
            }
        }
        HubSettings settings = settings(terminal, flag);
        try {
            return endpoint == null ? settings : settings.withEndpoint(endpoint);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
    }

    /** Returns the settings of the environment alone. */
    public static HubSettings settings(Terminal terminal, Optional<String> token) {
        try {
            return HubSettings.fromEnvironment(
                    terminal.environment(), Path.of(System.getProperty("user.home", ".")), token);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
    }
}
