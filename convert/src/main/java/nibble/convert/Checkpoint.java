package nibble.convert;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * A Llama checkpoint in a folder, as Hugging Face lays them out: config.json, safetensors files with or without an index,
 * tokenizer and other side files. Owns the mappings of its tensors, which end with {@link #close}.
 */
public final class Checkpoint implements AutoCloseable {
    private static final String SINGLE_FILE = "model.safetensors";

    /** Beginnings of the names of files that belong to the model whatever its weights' format, in lower case. */
    private static final List<String> SIDE_FILES = List.of(
            "tokenizer", "special_tokens_map", "added_tokens", "vocab", "merges", "generation_config", "chat_template",
            "license", "licence", "copying", "notice", "use_policy", "acceptable_use", "responsible");

    private final Path folder;
    private final LlamaConfig config;
    private final Arena arena;
    private final Map<String, Source> tensors;

    private record Source(TensorView view, Path file) {}

    private Checkpoint(Path folder, LlamaConfig config, Arena arena, Map<String, Source> tensors) {
        this.folder = folder;
        this.config = config;
        this.arena = arena;
        this.tensors = tensors;
    }

    /**
     * Opens a checkpoint, fp16-style or AWQ, and checks every tensor's presence, shape and type against its config. Tensors
     * that a Llama has no use for, as {@code rotary_emb.inv_freq}, are left alone.
     *
     * @throws BadCheckpointException for anything that is absent, damaged, inconsistent or unsupported
     */
    public static Checkpoint open(Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new BadCheckpointException(
                    folder, Files.exists(folder) ? "is a file; give the checkpoint's folder" : "no such folder; check the path");
        }
        Path configJson = folder.resolve("config.json");
        if (!Files.exists(configJson)) {
            throw new BadCheckpointException(
                    folder, "no config.json; expected the folder of a Hugging Face checkpoint (config.json, *.safetensors)");
        }
        LlamaConfig config = LlamaConfig.read(configJson);
        Arena arena = Arena.ofShared();
        try {
            SequencedMap<String, Source> tensors = map(folder, arena);
            LlamaConfig complete = withLegacyQuantization(folder, config, tensors);
            Checkpoint checkpoint = new Checkpoint(folder, complete, arena, tensors);
            ExpectedTensors.check(checkpoint, configJson);
            return checkpoint;
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    private static SequencedMap<String, Source> map(Path folder, Arena arena) {
        SequencedMap<String, Source> tensors = new LinkedHashMap<>();
        // The single file goes first where both exist, as it does in transformers.
        Path single = folder.resolve(SINGLE_FILE);
        Path index = folder.resolve(SafetensorsIndex.FILE_NAME);
        if (Files.exists(single) || !Files.exists(index)) {
            SafetensorsFile file = SafetensorsFile.open(Files.exists(single) ? single : onlyWeights(folder), arena);
            for (String name : file.names()) {
                tensors.put(name, new Source(file.tensor(name), file.path()));
            }
            return tensors;
        }
        Map<String, String> weightMap = SafetensorsIndex.read(index).weightMap();
        Map<String, SafetensorsFile> files = new TreeMap<>();
        for (Map.Entry<String, String> entry : weightMap.entrySet()) {
            Path path = folder.resolve(entry.getValue());
            if (!files.containsKey(entry.getValue())) {
                if (!Files.exists(path)) {
                    throw new BadCheckpointException(
                            index, "tensor " + entry.getKey() + " should be in " + entry.getValue()
                                    + ", which does not exist; get the missing file");
                }
                files.put(entry.getValue(), SafetensorsFile.open(path, arena));
            }
            if (files.get(entry.getValue()).find(entry.getKey()).isEmpty()) {
                throw new BadCheckpointException(
                        index, "tensor " + entry.getKey() + " should be in " + entry.getValue()
                                + ", which has no such tensor; get the index and this file again");
            }
        }
        files.forEach((fileName, file) -> {
            for (String name : file.names()) {
                // A tensor that the index puts elsewhere is a stale copy.
                if (fileName.equals(weightMap.get(name))) {
                    tensors.put(name, new Source(file.tensor(name), file.path()));
                }
            }
        });
        return tensors;
    }

    /** The one safetensors file of a folder that has neither the usual name nor an index, as early AWQ repositories do. */
    private static Path onlyWeights(Path folder) {
        List<String> names = fileNames(folder);
        List<String> weights = names.stream().filter(name -> name.endsWith(".safetensors")).toList();
        if (weights.size() == 1) {
            return folder.resolve(weights.getFirst());
        }
        if (weights.size() > 1) {
            throw new BadCheckpointException(
                    folder, weights.size() + " safetensors files but no " + SafetensorsIndex.FILE_NAME + "; get the index");
        }
        Optional<String> pickle = names.stream()
                .filter(name -> name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth"))
                .findFirst();
        if (pickle.isPresent()) {
            throw new BadCheckpointException(
                    folder, "PyTorch checkpoints (" + pickle.get()
                            + ") are not yet supported; use the model's safetensors version");
        }
        throw new BadCheckpointException(
                folder, "no weights; expected " + SINGLE_FILE + " or " + SafetensorsIndex.FILE_NAME
                        + " with its shards; get the whole checkpoint");
    }

    /** AutoAWQ before 2024 left config.json alone and wrote quant_config.json beside it. */
    private static LlamaConfig withLegacyQuantization(Path folder, LlamaConfig config, Map<String, Source> tensors) {
        if (config.quantization().isPresent()
                || tensors.keySet().stream().noneMatch(name -> name.endsWith(".qweight"))) {
            return config;
        }
        Path file = folder.resolve("quant_config.json");
        if (!Files.exists(file)) {
            throw new BadCheckpointException(
                    folder, "the tensors are quantized (*.qweight) but neither config.json has a quantization_config nor is"
                            + " there a quant_config.json; get the file that says how they are quantized");
        }
        return config.withQuantization(QuantizationConfig.read(file, StrictJson.readObject(file), false));
    }

    public Path folder() {
        return folder;
    }

    public LlamaConfig config() {
        return config;
    }

    /** Names of all tensors: shard by shard, in the order of their data. */
    public List<String> names() {
        return List.copyOf(tensors.keySet());
    }

    /** @throws BadCheckpointException if there is no tensor of this name */
    public TensorView tensor(String name) {
        return find(name)
                .orElseThrow(() -> new BadCheckpointException(
                        folder, "tensor " + name + " is missing; get the whole checkpoint again"));
    }

    public Optional<TensorView> find(String name) {
        return Optional.ofNullable(tensors.get(name)).map(Source::view);
    }

    /**
     * The file that holds a tensor.
     *
     * @throws BadCheckpointException if there is no tensor of this name
     */
    public Path fileOf(String name) {
        tensor(name);
        return Objects.requireNonNull(tensors.get(name)).file();
    }

    /** The safetensors files that hold the tensors, sorted by name. */
    public List<Path> weightFiles() {
        return tensors.values().stream().map(Source::file).distinct().sorted().toList();
    }

    /** Bytes of all tensors, without headers. */
    public long tensorBytes() {
        return tensors.values().stream().mapToLong(source -> source.view().data().byteSize()).sum();
    }

    /**
     * Files that a converted model carries over byte-identical, sorted by name: tokenizer, generation config, chat template,
     * licence and notices. Not among them: weights, their index, config.json, README.md.
     */
    public List<Path> sideFiles() {
        return sideFiles(folder);
    }

    /** As {@link #sideFiles()}, of a folder that need not hold a model. */
    public static List<Path> sideFiles(Path folder) {
        List<Path> found = new ArrayList<>();
        for (String name : fileNames(folder)) {
            String lower = name.toLowerCase(Locale.ROOT);
            if (SIDE_FILES.stream().anyMatch(lower::startsWith)) {
                found.add(folder.resolve(name));
            }
        }
        return List.copyOf(found);
    }

    private static List<String> fileNames(Path folder) {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isRegularFile)
                    .map(path -> path.getFileName().toString())
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new BadCheckpointException(folder, "cannot be listed: " + e, e);
        }
    }

    /** Unmaps the tensors; every {@link TensorView} of this checkpoint is dead afterwards. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
