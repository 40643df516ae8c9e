package nibble.cli.cluster;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the option for the folder that all hosts see. */
final class SharedOption {
    @Option(
            names = "--shared",
            paramLabel = "URI",
            description = "A folder that all hosts see, for what executors make meanwhile, as hdfs://…, s3a://… or"
                    + " file:///nfs/…. A folder in it is made and deleted. Default: a hidden folder beside OUT.")
    private @Nullable String shared;

    /** The folder of an output. */
    String uri(Path out) {
        Path whole = out.toAbsolutePath().normalize();
        String name = ".nibble-" + whole.getFileName() + ".shared";
        return shared == null
                ? whole.resolveSibling(name).toUri().toString()
                : shared.replaceFirst("/+$", "") + "/" + name;
    }
}
