package nibble.convert.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.SecondCopy;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.safetensors.SafetensorsIndex;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.StrictJson;

/** Safetensors files and their index as a set: nothing missing, nothing twice, nothing that belongs to no one. */
final class WeightFileChecks {
    private static final String INDEX = "index";
    private static final String SHARDS = "shards";
    private static final Pattern NUMBERED = Pattern.compile("(.+)-(\\d{5})-of-(\\d{5})\\.safetensors");

    private final Path folder;
    private final Consumer<Finding> findings;
    /** Files that opened, by name. */
    private final SortedMap<String, SafetensorsFile> files = new TreeMap<>();

    private WeightFileChecks(Path folder, Consumer<Finding> findings) {
        this.folder = folder;
        this.findings = findings;
    }

    static void run(Path folder, List<String> names, Consumer<Finding> findings) {
        WeightFileChecks checks = new WeightFileChecks(folder, findings);
        List<String> weights = names.stream()
                .filter(name -> name.endsWith(".safetensors") && !name.contains("/") && !SecondCopy.is(name, names))
                .toList();
        try (Arena arena = Arena.ofConfined()) {
            for (String name : weights) {
                checks.open(name, arena);
            }
            checks.numbering(weights);
            Path index = folder.resolve(SafetensorsIndex.FILE_NAME);
            if (Files.exists(index)) {
                checks.index(index, weights);
            }
        }
        for (String name : names) {
            SecondCopy.remark(name, names)
                    .ifPresent(
                            remark -> findings.accept(Finding.warning(SHARDS, folder.resolve(name) + ": " + remark)));
            if (name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth")) {
                findings.accept(Finding.warning(
                        SHARDS,
                        folder.resolve(name) + ": PyTorch pickles beside safetensors double the download and are"
                                + " refused by many hosts; remove it"));
            }
        }
    }

    private void open(String name, Arena arena) {
        try {
            SafetensorsFile file = SafetensorsFile.open(folder.resolve(name), arena);
            files.put(name, file);
            String format = file.metadata().get("format");
            if (!"pt".equals(format)) {
                findings.accept(Finding.error(
                        SHARDS,
                        file.path() + ": the header's __metadata__ has "
                                + (format == null ? "no format" : "format \"" + format + "\"")
                                + ", transformers rejects anything but \"pt\"; write the file again"));
            }
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(SHARDS, e));
        }
    }

    private void numbering(List<String> weights) {
        for (String name : weights) {
            Matcher form = NUMBERED.matcher(name);
            if (!form.matches()) {
                continue;
            }
            int total = Integer.parseInt(form.group(3));
            long present = weights.stream()
                    .filter(other ->
                            other.startsWith(form.group(1)) && other.endsWith("-of-" + form.group(3) + ".safetensors"))
                    .count();
            if (present != total) {
                findings.accept(Finding.error(
                        SHARDS,
                        folder + ": " + present + " files are named \"" + form.group(1) + "-…-of-" + form.group(3)
                                + "\", expected " + total + "; get the missing ones or remove the old ones"));
                return;
            }
        }
        if (weights.size() > 1 && !Files.exists(folder.resolve(SafetensorsIndex.FILE_NAME))) {
            findings.accept(Finding.error(
                    INDEX,
                    folder + ": " + weights.size() + " safetensors files but no " + SafetensorsIndex.FILE_NAME
                            + "; get the index"));
        }
    }

    private void index(Path index, List<String> weights) {
        SafetensorsIndex read;
        try {
            read = SafetensorsIndex.read(index);
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(INDEX, e));
            return;
        }
        Map<String, String> missing = new HashMap<>();
        read.weightMap().forEach((tensor, name) -> {
            SafetensorsFile file = files.get(name);
            if (file == null) {
                if (!weights.contains(name) && missing.put(name, tensor) == null) {
                    findings.accept(Finding.error(
                            INDEX,
                            index + ": tensor " + tensor + " should be in " + name
                                    + ", which does not exist; get the missing file"));
                }
            } else if (file.find(tensor).isEmpty()) {
                findings.accept(Finding.error(
                        INDEX,
                        index + ": tensor " + tensor + " should be in " + name
                                + ", which has no such tensor; get the index and this file again"));
            }
        });
        strays(index, read);
        total(index, read);
    }

    private void strays(Path index, SafetensorsIndex read) {
        files.forEach((name, file) -> {
            if (!read.weightMap().containsValue(name)) {
                findings.accept(Finding.error(
                        INDEX,
                        file.path() + ": " + index.getFileName()
                                + " does not name this file, yet loaders that take every"
                                + " .safetensors of a folder load it; remove it"));
                return;
            }
            for (String tensor : file.names()) {
                String where = read.weightMap().get(tensor);
                if (!name.equals(where)) {
                    findings.accept(Finding.error(
                            INDEX,
                            file.path() + ": tensor " + tensor + " is, by " + index.getFileName() + ", "
                                    + (where == null ? "not a tensor of this model" : "in " + where)
                                    + "; loaders that go by file load it anyway; write the checkpoint again"));
                }
            }
        });
    }

    private void total(Path index, SafetensorsIndex read) {
        JsonNode stated = StrictJson.readObject(index).path("metadata").path("total_size");
        boolean complete = files.keySet().containsAll(read.weightMap().values());
        if (!complete) {
            return;
        }
        long actual = 0;
        for (Map.Entry<String, String> entry : read.weightMap().entrySet()) {
            SafetensorsFile file = files.get(entry.getValue());
            if (file != null && file.find(entry.getKey()).isPresent()) {
                actual += file.tensor(entry.getKey()).data().byteSize();
            }
        }
        if (!stated.isNumber() || stated.doubleValue() != actual) {
            findings.accept(Finding.error(
                    INDEX,
                    index + ": metadata.total_size is " + (stated.isMissingNode() ? "missing" : stated)
                            + ", the tensors take " + actual + " bytes; write the index again"));
        }
    }
}
