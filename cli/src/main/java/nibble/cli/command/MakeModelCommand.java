package nibble.cli.command;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.SideFiles;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.cli.option.InputFile;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.ShapeOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.datasets.Tokenizer;
import nibble.engine.RandomWeights;
import nibble.engine.backend.Workers;
import nibble.files.FileSize;
import nibble.files.output.OutputException;
import nibble.files.output.OutputFolder;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "make-model",
        description = "Writes a checkpoint of random fp16 weights in shards, for timing commands that read files. OUT"
                + " appears complete or not at all.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class MakeModelCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "OUT", description = "Folder to create; it must be empty or absent.")
    @SuppressWarnings("NullAway.Init")
    private Path out;

    @Mixin
    private ShapeOptions shapes = new ShapeOptions();

    @Option(
            names = "--tokenizer",
            paramLabel = "DIR",
            description = "Copy the tokenizer of this model; calibration needs one.")
    private @Nullable Path tokenizer;

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            defaultValue = "10GB",
            description = "Largest size of a file. Default: ${DEFAULT-VALUE}.")
    private String maxShardSize = "10GB";

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads; the bytes do not depend on their number. Default: one for each processor.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Mixin
    private JsonOption json = new JsonOption();

    MakeModelCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Made(String shape, int layers, long seed, long outputBytes, double wallSeconds, double bytesPerSecond) {}

    @Override
    public Integer call() {
        InputFile.requireFolder("--tokenizer", tokenizer);
        ModelShape shape = shapes.shape();
        if (threads < 1) {
            throw new UsageException("--threads " + threads + ": at least 1");
        }
        json.requireWritable();
        requireSmallEnough(shape);
        ModelConfig config = shape.config();
        ShardPlan plan = ShardPlan.of(config.tensors(), maxShardBytes());
        long start = System.nanoTime();
        try (OutputFolder folder = OutputFolder.begin(out);
                Progress progress = new Progress(terminal, "writing " + out)) {
            writeSideFiles(shape, folder.path());
            writeWeights(config, plan, folder.path(), progress);
            folder.commit();
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        Made made = new Made(
                shape.name(), shape.layers(), shapes.seed, plan.fileBytes(), seconds, plan.fileBytes() / seconds);
        json.write(terminal, made);
        if (!json.toStandardOutput()) {
            terminal.out()
                    .println(out + ": " + Figures.bytes(made.outputBytes()) + " in "
                            + plan.shards().size() + " shards, " + Figures.bytes((long) made.bytesPerSecond()) + "/s");
            terminal.out().flush();
        }
        return ExitCode.DONE;
    }

    private long maxShardBytes() {
        try {
            return FileSize.parse(maxShardSize);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-shard-size " + maxShardSize + ": " + e.getMessage());
        }
    }

    /** A tokenizer whose ids the model has no embeddings for would fail later, far from its cause. */
    private void requireSmallEnough(ModelShape shape) {
        if (tokenizer == null) {
            return;
        }
        try (Tokenizer opened = ModelTokenizer.open(tokenizer)) {
            if (opened.vocabularySize() > shape.vocabularySize()) {
                throw new UsageException("--tokenizer " + tokenizer + ": " + opened.vocabularySize() + " ids, "
                        + shape.name() + " has embeddings for " + shape.vocabularySize());
            }
        }
    }

    private void writeSideFiles(ModelShape shape, Path folder) {
        Path file = folder.resolve("config.json");
        try {
            ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
            Files.writeString(file, mapper.writeValueAsString(shape.configJson()) + "\n");
            if (tokenizer != null) {
                for (Path side : Checkpoint.sideFiles(tokenizer)) {
                    file = folder.resolve(SideFiles.name(tokenizer, side));
                    SideFiles.copy(side, file);
                }
            }
        } catch (IOException e) {
            throw OutputException.of(file, "writing", e);
        }
    }

    private void writeWeights(ModelConfig config, ShardPlan plan, Path folder, Progress progress) {
        List<TensorSpec> tensors = config.tensors();
        long largest = tensors.stream().mapToLong(TensorSpec::bytes).max().orElse(0);
        long written = 0;
        try (Workers workers = new Workers(threads);
                Arena arena = Arena.ofShared();
                ShardedWriter writer = new ShardedWriter(folder, plan)) {
            RandomWeights weights = new RandomWeights(config, shapes.seed, workers);
            MemorySegment buffer = arena.allocate(largest, 64);
            for (TensorSpec tensor : tensors) {
                MemorySegment data = buffer.asSlice(0, tensor.bytes());
                weights.fill(tensor, data);
                writer.write(tensor.name(), data);
                written += tensor.bytes();
                progress.at((double) written / plan.totalSize(), Figures.bytes(written));
            }
            writer.finish();
        }
    }
}
