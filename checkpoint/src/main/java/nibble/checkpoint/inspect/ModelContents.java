package nibble.checkpoint.inspect;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.GgufLocation;
import nibble.checkpoint.MetaFolder;
import nibble.checkpoint.WeightFiles;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.gguf.GgufSplit;
import nibble.checkpoint.model.quantization.QuantizationLabel;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.FileKind;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.torch.TorchFile;
import nibble.files.Reasons;

/**
 * Describes the content of a model's files, of any architecture: tensors under the files' own names, types, metadata.
 * Nothing is decoded; the model's files need only be complete.
 *
 * @param tensors file by file in the order of the files
 * @param metadata GGUF's key-value pairs, or the {@code __metadata__} of a safetensors file
 * @param config config.json, where there is one beside the weights
 */
public record ModelContents(
        Path path,
        FileKind kind,
        List<ListedTensor> tensors,
        SequencedMap<String, Object> metadata,
        Optional<ObjectNode> config) {
    private static final String CONFIG = "config.json";

    /**
     * Reads one file, or a folder's weights: safetensors, else PyTorch files, else GGUF.
     *
     * @param arena of the files' mappings
     * @throws BadCheckpointException if there is nothing, or nothing that is read, or a file is damaged
     */
    public static ModelContents read(Path path, Arena arena) {
        if (Files.isRegularFile(path)) {
            return file(path, arena);
        }
        if (!Files.isDirectory(path)) {
            throw new BadCheckpointException(path, "no such folder or file; check the path");
        }
        List<String> names = fileNames(path);
        if (!names.contains(CONFIG) && names.contains(MetaFolder.PARAMS)) {
            try (Checkpoint checkpoint = Checkpoint.open(path)) {
                List<StoredTensor> stored = checkpoint.names().stream()
                        .map(name -> checkpoint.stored(name).orElseThrow())
                        .toList();
                return of(
                        path,
                        FileKind.TORCH,
                        stored,
                        new LinkedHashMap<>(),
                        Optional.of(checkpoint.config().json()));
            }
        }
        Optional<ObjectNode> config =
                names.contains(CONFIG) ? Optional.of(StrictJson.readObject(path.resolve(CONFIG))) : Optional.empty();
        Optional<Path> gguf = GgufLocation.of(path);
        if (gguf.isPresent()) {
            return gguf(path, gguf.get(), config, arena);
        }
        List<StoredTensor> stored =
                List.copyOf(WeightFiles.map(path, names, arena).values());
        FileKind kind = stored.isEmpty()
                ? FileKind.SAFETENSORS
                : FileKind.of(stored.getFirst().file());
        SequencedMap<String, Object> metadata = new LinkedHashMap<>();
        if (kind == FileKind.SAFETENSORS && !stored.isEmpty()) {
            metadata.putAll(
                    SafetensorsFile.open(stored.getFirst().file(), arena).metadata());
        }
        return of(path, kind, stored, metadata, config);
    }

    private static ModelContents file(Path path, Arena arena) {
        return switch (FileKind.of(path)) {
            case GGUF -> gguf(path, path, Optional.empty(), arena);
            case TORCH -> {
                List<StoredTensor> tensors = TorchFile.open(path, arena).tensors().values().stream()
                        .map(view -> StoredTensor.inPlace(view, path))
                        .toList();
                yield of(path, FileKind.TORCH, tensors, new LinkedHashMap<>(), Optional.empty());
            }
            case SAFETENSORS -> {
                SafetensorsFile file = SafetensorsFile.open(path, arena);
                List<StoredTensor> tensors = file.names().stream()
                        .map(name -> StoredTensor.inPlace(file.tensor(name), path))
                        .toList();
                yield of(path, FileKind.SAFETENSORS, tensors, new LinkedHashMap<>(file.metadata()), Optional.empty());
            }
        };
    }

    private static ModelContents of(
            Path path,
            FileKind kind,
            List<StoredTensor> stored,
            SequencedMap<String, Object> metadata,
            Optional<ObjectNode> config) {
        List<ListedTensor> tensors =
                stored.stream().map(tensor -> ListedTensor.of(tensor, config)).toList();
        return new ModelContents(path, kind, tensors, metadata, config);
    }

    private static ModelContents gguf(Path path, Path first, Optional<ObjectNode> config, Arena arena) {
        List<ListedTensor> tensors = new ArrayList<>();
        List<GgufFile> files = GgufSplit.open(first, arena);
        for (GgufFile file : files) {
            file.tensors().values().forEach(tensor -> tensors.add(ListedTensor.of(tensor, file.path())));
        }
        return new ModelContents(
                path, FileKind.GGUF, List.copyOf(tensors), files.getFirst().values(), config);
    }

    private static List<String> fileNames(Path folder) {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isRegularFile)
                    .map(file -> String.valueOf(file.getFileName()))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new BadCheckpointException(folder, "cannot be listed: " + Reasons.of(e), e);
        }
    }

    /** Counts the tensors and bytes of a type. */
    public record TypeShare(String type, int tensors, long weights, long bytes) {
        /** Returns the bits that a weight takes on average; 0 where the tensors hold none, as indexes. */
        public double bitsPerWeight() {
            return weights == 0 ? 0 : 8.0 * bytes / weights;
        }

        private TypeShare plus(TypeShare other) {
            return new TypeShare(type, tensors + other.tensors, weights + other.weights, bytes + other.bytes);
        }
    }

    /** Returns the types, that of the most weights first. */
    public List<TypeShare> types() {
        Map<String, TypeShare> shares = new LinkedHashMap<>();
        for (ListedTensor tensor : tensors) {
            shares.merge(
                    tensor.type(), new TypeShare(tensor.type(), 1, tensor.weights(), tensor.bytes()), TypeShare::plus);
        }
        return shares.values().stream()
                .sorted((a, b) -> a.weights() != b.weights()
                        ? Long.compare(b.weights(), a.weights())
                        : Long.compare(b.bytes(), a.bytes()))
                .toList();
    }

    /** Returns all types together. */
    public TypeShare all() {
        return types().stream().reduce(new TypeShare("all", 0, 0, 0), TypeShare::plus);
    }

    /**
     * Returns the format by its usual name, as {@code GGUF Q4_K_M} or {@code safetensors, awq 4-bit group 128
     * (gemm)}.
     */
    public String format() {
        List<TypeShare> types = types();
        String most = types.isEmpty() ? "no tensors" : types.getFirst().type();
        if (kind == FileKind.GGUF) {
            Optional<String> named = GgufFile.formatName(metadata);
            boolean agrees = named.map(name -> name.startsWith(most)).orElse(false);
            return "GGUF "
                    + named.map(name -> name + (agrees ? "" : " (most weights are " + most + ")"))
                            .orElse(most);
        }
        return kind.label() + ", "
                + config.flatMap(json -> QuantizationLabel.of(path, json)).orElse("not quantized, " + most);
    }
}
