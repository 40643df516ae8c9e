package nibble.checkpoint;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Supplier;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufCheckpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.FolderNames;
import nibble.checkpoint.source.MappedFiles;
import nibble.checkpoint.source.SourceFile;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorView;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import org.jspecify.annotations.Nullable;

/**
 * Opens a Llama checkpoint in a folder: config.json, tokenizer and other side files, and weights in safetensors or
 * PyTorch files with or without an index; or params.json and consolidated.*.pth, as Meta publishes them; or a GGUF
 * file. Names, shapes and the order of rows are Hugging Face's whatever the files have. Owns the mappings of its
 * tensors, which end with {@link #close}.
 */
public final class Checkpoint implements AutoCloseable {
    /** Beginnings of the names of files that belong to the model whatever its weights' format, in lower case. */
    private static final List<String> SIDE_FILES = List.of(
            "tokenizer",
            "special_tokens_map",
            "added_tokens",
            "vocab",
            "merges",
            "tekken",
            "generation_config",
            "chat_template",
            "license",
            "licence",
            "copying",
            "notice",
            "use_policy",
            "acceptable_use",
            "responsible");

    private final Path folder;
    private final ModelConfig config;
    private final Arena arena;
    private final Map<String, StoredTensor> tensors;
    private final Map<String, Supplier<GgufBlocks>> blocks;
    private final Supplier<Optional<TokenizerDescription>> tokenizer;
    private final List<Finding> remarks;
    private final MappedFiles mapped;
    private @Nullable Optional<TokenizerDescription> foundTokenizer;

    private Checkpoint(Path folder, Arena arena, Contents contents) {
        this.folder = folder;
        this.config = contents.config();
        this.arena = arena;
        this.tensors = contents.tensors();
        this.blocks = contents.blocks();
        this.tokenizer = contents.tokenizer();
        this.remarks = List.copyOf(contents.remarks());
        this.mapped = new MappedFiles(tensors.values().stream()
                .map(StoredTensor::file)
                .distinct()
                .sorted()
                .toList());
    }

    /**
     * Opens a checkpoint, quantized or not, and checks every tensor's presence, shape and type against its config.
     * Tensors that a Llama has no use for, as {@code rotary_emb.inv_freq}, are left alone.
     *
     * @throws BadCheckpointException for anything that is absent, damaged, inconsistent or unsupported
     */
    public static Checkpoint open(Path folder) {
        Optional<Path> gguf = GgufLocation.of(folder);
        if (gguf.isPresent()) {
            return openGguf(gguf.get());
        }
        if (!Files.isDirectory(folder)) {
            throw new BadCheckpointException(
                    folder,
                    Files.exists(folder)
                            ? "is a file and no GGUF; give the checkpoint's folder"
                            : "no such folder; check the path");
        }
        Path configJson = folder.resolve("config.json");
        Path paramsJson = folder.resolve(MetaFolder.PARAMS);
        AdapterFolder.refuse(folder, FolderNames.of(folder));
        if (!SourceFile.isNamed(configJson) && !SourceFile.isNamed(paramsJson)) {
            throw new BadCheckpointException(
                    folder,
                    "no config.json; expected the folder of a Hugging Face checkpoint (config.json and *.safetensors or"
                            + " pytorch_model*.bin) or of Meta's (params.json and consolidated.*.pth)");
        }
        Arena arena = Arena.ofShared();
        try {
            if (!SourceFile.isNamed(configJson)) {
                return checked(MetaFolder.open(folder, arena), folder, paramsJson, arena);
            }
            ModelConfig config = ModelConfig.read(configJson);
            List<Finding> remarks = new ArrayList<>();
            SequencedMap<String, StoredTensor> tensors = WrappedNames.ofText(
                    config,
                    folder,
                    Fp8Blocks.read(config, WeightFiles.map(folder, FolderNames.of(folder), arena)),
                    remarks::add);
            Map<String, Supplier<GgufBlocks>> blocks = new HashMap<>();
            tensors = TransposedExperts.split(config, FusedExperts.split(config, tensors), blocks);
            ModelConfig meant =
                    TiedHead.config(folder, withLegacyQuantization(folder, config, tensors), tensors, remarks::add);
            AdapterFolder.remark(folder, FolderNames.of(folder), remarks::add);
            Contents contents =
                    new Contents(meant, tensors, () -> TokenizerDescription.ofFolder(folder), remarks, blocks);
            return checked(contents, folder, configJson, arena);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Returns a checkpoint that lies in memory, for measurements.
     *
     * @param name stands where messages name a folder
     * @param tensors those that will be asked for
     * @param arena of the tensors; ends with the checkpoint
     */
    public static Checkpoint inMemory(Path name, ModelConfig config, List<TensorView> tensors, Arena arena) {
        SequencedMap<String, StoredTensor> stored = new LinkedHashMap<>();
        tensors.forEach(tensor -> stored.put(tensor.name(), StoredTensor.inPlace(tensor, name)));
        return new Checkpoint(name, arena, new Contents(config, stored, Optional::empty, List.of()));
    }

    /**
     * What was opened holds.
     *
     * @param tokenizer finds out what its tokenizer means
     * @param remarks what was read otherwise than the files say
     * @param blocks matrices in blocks, as they lie in a GGUF file or are brought into its order
     */
    record Contents(
            ModelConfig config,
            SequencedMap<String, StoredTensor> tensors,
            Supplier<Optional<TokenizerDescription>> tokenizer,
            List<Finding> remarks,
            Map<String, Supplier<GgufBlocks>> blocks) {
        Contents(
                ModelConfig config,
                SequencedMap<String, StoredTensor> tensors,
                Supplier<Optional<TokenizerDescription>> tokenizer,
                List<Finding> remarks) {
            this(config, tensors, tokenizer, remarks, Map.of());
        }
    }

    private static Checkpoint openGguf(Path file) {
        Arena arena = Arena.ofShared();
        try {
            GgufCheckpoint gguf = new GgufCheckpoint(file, arena);
            ModelConfig config = ModelConfig.of(file, gguf.configJson());
            Map<String, Supplier<GgufBlocks>> blocks = new HashMap<>();
            gguf.blocks().forEach((name, there) -> blocks.put(name, () -> there));
            Contents contents = new Contents(config, gguf.tensors(), gguf::tokenizer, List.of(), blocks);
            return checked(contents, file, file, arena);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    private static Checkpoint checked(Contents contents, Path folder, Path configFile, Arena arena) {
        Checkpoint checkpoint = new Checkpoint(folder, arena, contents);
        ExpectedTensors.check(checkpoint, configFile);
        return checkpoint;
    }

    /**
     * AutoAWQ before 2024 left config.json alone and wrote quant_config.json beside it, AutoGPTQ quantize_config.json.
     */
    private static ModelConfig withLegacyQuantization(
            Path folder, ModelConfig config, Map<String, StoredTensor> tensors) {
        if (config.quantization().isPresent()) {
            return config;
        }
        if (tensors.keySet().stream().anyMatch(name -> QuantizedFormat.COMPRESSED_TENSORS.isNamed(name, Role.CODES))) {
            throw new BadCheckpointException(
                    folder,
                    "the tensors are quantized (*.weight_packed) but config.json has no quantization_config; get the"
                            + " config.json that belongs to them");
        }
        if (tensors.keySet().stream().noneMatch(name -> QuantizedFormat.GPTQ.isNamed(name, Role.CODES))) {
            return config;
        }
        Path awq = folder.resolve("quant_config.json");
        if (Files.exists(awq)) {
            return config.withQuantization(QuantizationConfig.readAwqFile(awq));
        }
        Path gptq = folder.resolve("quantize_config.json");
        if (Files.exists(gptq)) {
            return config.withQuantization(QuantizationConfig.readGptqFile(gptq));
        }
        throw new BadCheckpointException(
                folder,
                "the tensors are quantized (*.qweight) but neither config.json has a quantization_config nor is there"
                    + " a quant_config.json or quantize_config.json; get the file that says how they are quantized");
    }

    /** Returns the folder, or the file of a GGUF checkpoint. */
    public Path folder() {
        return folder;
    }

    public ModelConfig config() {
        return config;
    }

    /** Returns the file that the config was read from: config.json, or the GGUF file. */
    public Path configFile() {
        return Files.isDirectory(folder) ? folder.resolve("config.json") : folder;
    }

    /**
     * Returns remarks for a user on how the checkpoint was read: warnings where it means something else than it says,
     * errors where other loaders would not find its tensors.
     */
    public List<Finding> remarks() {
        return remarks;
    }

    /** Returns the names of all tensors: shard by shard, in the order of their data. */
    public List<String> names() {
        return List.copyOf(tensors.keySet());
    }

    /**
     * Returns a tensor with its data: a view of the mapped file, or a copy where the file holds it in another form.
     *
     * @throws BadCheckpointException if there is no tensor of this name
     */
    public TensorView tensor(String name) {
        return required(name).view();
    }

    private StoredTensor required(String name) {
        return stored(name)
                .orElseThrow(() -> new BadCheckpointException(
                        folder, "tensor " + name + " is missing; get the whole checkpoint again"));
    }

    public Optional<TensorView> find(String name) {
        return stored(name).map(StoredTensor::view);
    }

    /** Returns a tensor as its file stores it, without reading its data. */
    public Optional<StoredTensor> stored(String name) {
        return Optional.ofNullable(tensors.get(name));
    }

    /**
     * Returns a matrix in blocks for what computes with its own bits: as it lies in a GGUF file, or from another file
     * brought into that order anew at each call.
     */
    public Optional<GgufBlocks> blocks(String name) {
        return Optional.ofNullable(blocks.get(name)).map(Supplier::get);
    }

    /**
     * Returns the file that holds a tensor.
     *
     * @throws BadCheckpointException if there is no tensor of this name
     */
    public Path fileOf(String name) {
        return required(name).file();
    }

    /** Returns the files that hold the tensors, sorted by name. */
    public List<Path> weightFiles() {
        return tensors.values().stream()
                .map(StoredTensor::file)
                .distinct()
                .sorted()
                .toList();
    }

    /**
     * Looks whether the files that hold the tensors are as long as they were, which costs some microseconds.
     *
     * @throws BadCheckpointException for one that was cut short since
     */
    public void requireWhole() {
        mapped.requireWhole();
    }

    /** Returns the bytes of all tensors as they are stored, without headers. */
    public long tensorBytes() {
        return tensors.values().stream().mapToLong(StoredTensor::storedBytes).sum();
    }

    /**
     * Returns the files that a converted model carries over byte-identical, sorted by name: tokenizer, generation
     * config, chat template, licence and notices; last the named chat templates in a folder of their own. {@link
     * SideFiles} copies them. Not among them: weights, their index, config.json, README.md.
     *
     * @throws BadCheckpointException if one is not what its name says, as a Git LFS pointer
     */
    public List<Path> sideFiles() {
        List<Path> found = sideFiles(folder);
        found.forEach(SourceFile::requireCarried);
        return found;
    }

    /** Returns the {@link #sideFiles()} of a folder that need not hold a model. */
    public static List<Path> sideFiles(Path folder) {
        List<Path> found = new ArrayList<>();
        if (!Files.isDirectory(folder)) {
            return found;
        }
        for (String name : FolderNames.of(folder)) {
            String lower = name.toLowerCase(Locale.ROOT);
            if (SIDE_FILES.stream().anyMatch(lower::startsWith)) {
                found.add(folder.resolve(name));
            }
        }
        found.addAll(ChatTemplates.additional(folder));
        return List.copyOf(found);
    }

    /**
     * Returns the tokenizer's meaning, found out when it is first asked for.
     *
     * @return nothing where there is none, or none of a kind that is read here
     * @throws BadCheckpointException if its files or metadata are damaged
     */
    public synchronized Optional<TokenizerDescription> tokenizer() {
        Optional<TokenizerDescription> found = foundTokenizer;
        if (found == null) {
            found = tokenizer.get();
            foundTokenizer = found;
        }
        return found;
    }

    /**
     * Returns the meaning of a model's tokenizer: of a folder the files in it, a GGUF file's metadata where there are
     * none.
     *
     * @param model a folder or a GGUF file
     * @return nothing where there is none, or none of a kind that is read here
     * @throws BadCheckpointException if its files or metadata are damaged, or there is no such model
     */
    public static Optional<TokenizerDescription> tokenizer(Path model) {
        Optional<TokenizerDescription> beside =
                Files.isDirectory(model) ? TokenizerDescription.ofFolder(model) : Optional.empty();
        if (beside.isPresent()) {
            return beside;
        }
        try (Checkpoint checkpoint = open(model)) {
            return checkpoint.tokenizer();
        }
    }

    /**
     * Returns the side files that the checkpoint has in another form, content by name: tokenizer.json where there is
     * only SentencePiece's tokenizer.model or a GGUF file's metadata.
     */
    public SequencedMap<String, byte[]> madeFiles() {
        return tokenizer().map(TokenizerDescription::madeFiles).orElseGet(LinkedHashMap::new);
    }

    /** Unmaps the tensors; every {@link TensorView} of this checkpoint is dead afterwards. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
