package nibble.cli.option;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * Accepts the name that {@code --format} had in {@code convert}: still taken wherever there is a {@code --format}, and
 * nowhere shown.
 */
public final class FormatAlias {
    @Option(names = "--to", hidden = true)
    private @Nullable String to;

    /**
     * Returns the format under either name.
     *
     * @throws UsageException if both are given and differ
     */
    public Optional<String> or(@Nullable String format) {
        if (to != null && format != null && !to.equalsIgnoreCase(format)) {
            throw new UsageException(
                    "--format " + format + " and --to " + to + ": these are one option; give --format alone");
        }
        return Optional.ofNullable(format != null ? format : to);
    }
}
