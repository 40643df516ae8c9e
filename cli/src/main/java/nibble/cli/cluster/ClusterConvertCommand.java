package nibble.cli.cluster;

import java.nio.file.Path;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.cli.command.ConvertCommand;
import nibble.cli.terminal.Terminal;
import nibble.cluster.convert.ClusterConversion;
import nibble.cluster.convert.ConversionRequest;
import nibble.cluster.spark.Cluster;
import nibble.convert.CheckpointConverter.Target;
import nibble.convert.ConversionOptions;
import nibble.convert.ConversionReport;
import nibble.convert.blocks.Importance;
import nibble.convert.gguf.GgufMix;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

@Command(
        name = "convert",
        description =
                "Does what 'nibble convert' does, tensors shared out to executors. SRC is at the same path on every"
                        + " host.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ClusterConvertCommand extends ConvertCommand {
    private final Terminal terminal;

    @Mixin
    private SharedOption shared = new SharedOption();

    @Mixin
    private ClusterOptions options = new ClusterOptions();

    ClusterConvertCommand(Terminal terminal) {
        super(terminal);
        this.terminal = terminal;
    }

    @Override
    protected void check() {
        importance().file();
        options.check(terminal);
    }

    @Override
    protected ConversionReport export(
            Checkpoint source, GgufMix mix, Optional<Importance> weights, ConversionOptions conversion) {
        String file = importance()
                .file()
                .map(path -> path.toAbsolutePath().normalize().toString())
                .orElse(null);
        return spread(source, ConversionRequest.gguf(path(source), mix, file), conversion);
    }

    @Override
    protected ConversionReport convert(Checkpoint source, Target target, ConversionOptions conversion) {
        return spread(source, ConversionRequest.folder(path(source), target), conversion);
    }

    private ConversionReport spread(Checkpoint source, ConversionRequest request, ConversionOptions conversion) {
        try (Cluster cluster = options.open(conversion.stop())) {
            return ClusterConversion.convert(cluster, request, source, shared.uri(conversion.out()), conversion);
        }
    }

    private static String path(Checkpoint source) {
        Path folder = source.folder().toAbsolutePath().normalize();
        return folder.toString();
    }
}
