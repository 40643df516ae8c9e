package nibble.cli;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.convert.SafetensorsFile;
import nibble.convert.StoredTensor;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "inspect",
        description = "Lists a checkpoint's tensors, types, shapes, format and sizes.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class InspectCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "PATH", description = "One safetensors or GGUF file, or a checkpoint. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(names = "--layer", paramLabel = "N", description = "Only the tensors of decoder layer N.")
    private int layer = -1;

    @Mixin
    private JsonOption json = new JsonOption();

    InspectCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Tensor(String name, String dtype, List<Long> shape, long bytes, String file) {}

    record Inspection(
            String architecture,
            String format,
            int layers,
            int hiddenSize,
            int intermediateSize,
            int attentionHeads,
            int keyValueHeads,
            int vocabularySize,
            int contextTokens,
            long tensorBytes,
            List<Tensor> tensors) {}

    /** What one file says of itself, without a config. */
    record FileInspection(String format, Map<String, String> metadata, long tensorBytes, List<Tensor> tensors) {}

    @Override
    public Integer call() {
        source.require();
        json.requireWritable();
        Path path = source.folder(terminal);
        if (Files.isRegularFile(path) && !path.toString().endsWith(".gguf")) {
            try (Arena arena = Arena.ofShared()) {
                inspectFile(SafetensorsFile.open(path, arena));
            }
            return ExitCode.DONE;
        }
        try (Checkpoint checkpoint = Checkpoint.open(path)) {
            Inspection inspection = inspect(checkpoint);
            json.write(terminal, inspection);
            if (!json.toStandardOutput()) {
                print(inspection);
            }
        }
        return ExitCode.DONE;
    }

    private void inspectFile(SafetensorsFile file) {
        List<Tensor> tensors = new ArrayList<>();
        long bytes = 0;
        for (String name : file.names()) {
            StoredTensor tensor = StoredTensor.inPlace(file.tensor(name), file.path());
            bytes += tensor.storedBytes();
            if (isWanted(name)) {
                tensors.add(tensor(tensor));
            }
        }
        FileInspection found = new FileInspection("safetensors", file.metadata(), bytes, tensors);
        json.write(terminal, found);
        if (!json.toStandardOutput()) {
            terminal.out().printf("safetensors file, metadata %s%n%n", found.metadata());
            print(found.tensors(), found.tensorBytes(), "the file");
        }
    }

    private boolean isWanted(String tensor) {
        return layer < 0 || tensor.startsWith("model.layers." + layer + ".");
    }

    private static Tensor tensor(StoredTensor tensor) {
        return new Tensor(
                tensor.name(),
                tensor.storage(),
                tensor.spec().shape().dims(),
                tensor.storedBytes(),
                String.valueOf(tensor.file().getFileName()));
    }

    private Inspection inspect(Checkpoint checkpoint) {
        LlamaConfig config = checkpoint.config();
        List<Tensor> tensors = new ArrayList<>();
        for (String name : checkpoint.names()) {
            if (isWanted(name)) {
                tensors.add(tensor(checkpoint.stored(name).orElseThrow()));
            }
        }
        String format = config.quantization()
                .map(q -> q.method() + " " + q.bits() + "-bit group " + q.groupSize() + " (" + q.version() + ")")
                .orElse("unquantized " + config.dtype());
        return new Inspection(
                config.architecture().className(),
                format,
                config.layers(),
                config.hiddenSize(),
                config.intermediateSize(),
                config.heads(),
                config.kvHeads(),
                config.vocabularySize(),
                config.maxPositions(),
                checkpoint.tensorBytes(),
                tensors);
    }

    private void print(Inspection found) {
        var out = terminal.out();
        out.printf(
                "%s, %s%n%d layers, hidden %d, mlp %d, %d heads (%d key/value), vocabulary %d, context %d%n%n",
                found.architecture(),
                found.format(),
                found.layers(),
                found.hiddenSize(),
                found.intermediateSize(),
                found.attentionHeads(),
                found.keyValueHeads(),
                found.vocabularySize(),
                found.contextTokens());
        print(found.tensors(), found.tensorBytes(), "the checkpoint");
    }

    private void print(List<Tensor> tensors, long totalBytes, String whole) {
        var out = terminal.out();
        List<List<String>> rows = new ArrayList<>();
        Map<String, Long> bytesOfType = new TreeMap<>();
        for (Tensor tensor : tensors) {
            rows.add(List.of(
                    tensor.name(),
                    tensor.dtype(),
                    tensor.shape().toString(),
                    Figures.bytes(tensor.bytes()),
                    tensor.file()));
            bytesOfType.merge(tensor.dtype(), tensor.bytes(), Long::sum);
        }
        new Table(List.of("tensor", "type", "shape", "size", "file"), rows)
                .lines()
                .forEach(out::println);
        out.println();
        bytesOfType.forEach((type, bytes) -> out.println(type + ": " + Figures.bytes(bytes)));
        out.println(tensors.size() + " tensors shown; " + whole + " holds " + Figures.bytes(totalBytes));
        out.flush();
    }
}
