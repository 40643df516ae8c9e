package nibble.checkpoint;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Function;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.safetensors.SafetensorsIndex;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.torch.TorchFile;

/** Finds and maps the weight files of a Hugging Face folder: safetensors where there are any, else PyTorch files. */
public final class WeightFiles {
    private static final String SINGLE_SAFETENSORS = "model.safetensors";
    private static final String SINGLE_TORCH = "pytorch_model.bin";

    /** What trainers save beside a model. */
    private static final List<String> TRAINING =
            List.of("training_args", "optimizer", "scheduler", "rng_state", "scaler");

    private WeightFiles() {}

    /** Whether a folder of these files has weights in a format that is read here, complete or not. */
    static boolean areAmong(List<String> names) {
        return names.contains(SafetensorsIndex.FILE_NAME)
                || names.contains(SafetensorsIndex.TORCH_FILE_NAME)
                || names.stream().anyMatch(name -> isSafetensors(name) || isTorch(name));
    }

    private static boolean isSafetensors(String name) {
        return name.endsWith(".safetensors") && !AdapterFolder.isAdapter(name);
    }

    /** training_args.bin, optimizer.pt and the like lie beside weights and are none. */
    private static boolean isTorch(String name) {
        boolean weights = name.endsWith(".pt")
                || name.endsWith(".pth")
                || name.endsWith(".bin") && name.startsWith("pytorch_model");
        return weights && !AdapterFolder.isAdapter(name) && TRAINING.stream().noneMatch(name::startsWith);
    }

    /**
     * Returns all tensors, file by file in the order of their data.
     *
     * @param names the folder's files, sorted
     */
    public static SequencedMap<String, StoredTensor> map(Path folder, List<String> names, Arena arena) {
        // The single file goes first where both exist, and safetensors before PyTorch, as in transformers.
        if (names.contains(SINGLE_SAFETENSORS)) {
            return safetensors(folder.resolve(SINGLE_SAFETENSORS), arena);
        }
        if (names.contains(SafetensorsIndex.FILE_NAME)) {
            SafetensorsIndex index = SafetensorsIndex.read(folder.resolve(SafetensorsIndex.FILE_NAME));
            return indexed(index, folder, file -> safetensors(file, arena));
        }
        List<String> safetensors = names.stream()
                .filter(name -> isSafetensors(name) && !SecondCopy.is(name, names))
                .toList();
        if (!safetensors.isEmpty()) {
            return safetensors(
                    folder.resolve(only(folder, "safetensors", safetensors, SafetensorsIndex.FILE_NAME)), arena);
        }
        if (names.contains(SINGLE_TORCH)) {
            return torch(folder.resolve(SINGLE_TORCH), arena);
        }
        if (names.contains(SafetensorsIndex.TORCH_FILE_NAME)) {
            SafetensorsIndex index = SafetensorsIndex.read(folder.resolve(SafetensorsIndex.TORCH_FILE_NAME), ".bin");
            return indexed(index, folder, file -> torch(file, arena));
        }
        List<String> torch = names.stream().filter(WeightFiles::isTorch).toList();
        if (!torch.isEmpty()) {
            return torch(folder.resolve(only(folder, "PyTorch", torch, SafetensorsIndex.TORCH_FILE_NAME)), arena);
        }
        throw new BadCheckpointException(
                folder,
                "no weights; expected " + SINGLE_SAFETENSORS + " or " + SafetensorsIndex.FILE_NAME
                        + " with its shards, or the same as " + SINGLE_TORCH + "; get the whole checkpoint");
    }

    /** The one weight file of a folder that has neither the usual name nor an index, as early AWQ repositories do. */
    private static String only(Path folder, String format, List<String> files, String index) {
        if (files.size() > 1) {
            throw new BadCheckpointException(
                    folder,
                    files.size() + " " + format + " files (" + files.getFirst() + ", ...) but no " + index
                            + "; get the index");
        }
        return files.getFirst();
    }

    private static SequencedMap<String, StoredTensor> safetensors(Path path, Arena arena) {
        SafetensorsFile file = SafetensorsFile.open(path, arena);
        SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();
        for (String name : file.names()) {
            tensors.put(name, StoredTensor.inPlace(file.tensor(name), path));
        }
        return tensors;
    }

    private static SequencedMap<String, StoredTensor> torch(Path path, Arena arena) {
        SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();
        TorchFile.open(path, arena)
                .tensors()
                .forEach((name, view) -> tensors.put(name, StoredTensor.inPlace(view, path)));
        return tensors;
    }

    private static SequencedMap<String, StoredTensor> indexed(
            SafetensorsIndex index, Path folder, Function<Path, SequencedMap<String, StoredTensor>> open) {
        Map<String, SequencedMap<String, StoredTensor>> files = new TreeMap<>();
        for (Map.Entry<String, String> entry : index.weightMap().entrySet()) {
            Path path = folder.resolve(entry.getValue());
            if (!files.containsKey(entry.getValue())) {
                if (!SourceFile.isNamed(path)) {
                    throw new BadCheckpointException(
                            index.path(),
                            "tensor " + entry.getKey() + " should be in " + entry.getValue()
                                    + ", which does not exist; get the missing file");
                }
                files.put(entry.getValue(), open.apply(path));
            }
            if (!files.get(entry.getValue()).containsKey(entry.getKey())) {
                throw new BadCheckpointException(
                        index.path(),
                        "tensor " + entry.getKey() + " should be in " + entry.getValue()
                                + ", which has no such tensor; get the index and this file again");
            }
        }
        SequencedMap<String, StoredTensor> tensors = new LinkedHashMap<>();
        files.forEach((fileName, file) -> file.forEach((name, tensor) -> {
            // A tensor that the index puts elsewhere is a stale copy.
            if (fileName.equals(index.weightMap().get(name))) {
                tensors.put(name, tensor);
            }
        }));
        return tensors;
    }
}
