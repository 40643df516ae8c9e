package nibble.hub.card;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import nibble.checkpoint.GgufLocation;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.gguf.GgufSplit;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.origin.Origin;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.RepositoryFiles;

/**
 * What a folder really is, as far as a card tells it.
 *
 * @param format what its weights are stored as
 * @param version the layout's own name, as gemm or gptq_v2; of dense weights their type
 * @param method how codes were chosen: awq, rtn, or empty where no report says it
 * @param symmetric whether codes have no zero points
 * @param from what a report says that it was converted from; empty if it was not
 * @param architecture its model_type, or GGUF's name of its architecture
 * @param contextTokens positions it was made for
 * @param files of GGUF: name, type and size of each model, for its table
 * @param importance of GGUF: the text that weighed its weights; empty if none did
 * @param origin where it came from
 */
record CardSubject(
        Format format,
        String version,
        String method,
        int bits,
        int groupSize,
        boolean symmetric,
        String from,
        String architecture,
        long contextTokens,
        long weightBytes,
        List<Map<String, Object>> files,
        String importance,
        Origin origin) {
    /** What a repository may hold. */
    enum Format {
        AWQ,
        GPTQ,
        COMPRESSED_TENSORS,
        GGUF,
        DENSE;

        /** As templates compare it. */
        String id() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    private static final String HUB = "https://huggingface.co/";

    /**
     * Looks at a folder.
     *
     * @throws BadCheckpointException if it holds neither a quantized model nor one that Nibble converted
     */
    static CardSubject of(Path folder) {
        if (!Files.exists(folder.resolve("config.json"))) {
            Map<String, List<Path>> models = ggufModels(folder);
            if (!models.isEmpty()) {
                return gguf(folder, models);
            }
        }
        ModelConfig config = ModelConfig.read(folder.resolve("config.json"));
        JsonNode report = ModelCard.json(folder.resolve("quantization_report.json"));
        JsonNode conversion = ModelCard.json(folder.resolve("conversion_report.json"));
        Optional<QuantizationConfig> quantization = config.quantization();
        if (quantization.isEmpty() && conversion.isMissingNode()) {
            throw new BadCheckpointException(
                    folder,
                    "is not quantized and Nibble did not convert it, so its makers write its card; Nibble writes cards"
                            + " for the output of 'nibble quantize' and 'nibble convert'");
        }
        Format format = quantization
                .map(found -> switch (found.format()) {
                    case AWQ_GEMM -> Format.AWQ;
                    case GPTQ, GPTQ_V2 -> Format.GPTQ;
                    case COMPRESSED_TENSORS -> Format.COMPRESSED_TENSORS;
                })
                .orElse(Format.DENSE);
        return new CardSubject(
                format,
                quantization
                        .map(QuantizationConfig::version)
                        .orElse(config.dtype().name()),
                report.path("method").asText("").toLowerCase(Locale.ROOT),
                quantization.map(QuantizationConfig::bits).orElse(0),
                quantization.map(QuantizationConfig::groupSize).orElse(0),
                quantization.map(QuantizationConfig::symmetric).orElse(false),
                conversion.path("from").asText(""),
                config.architecture().modelType(),
                config.maxPositions(),
                bytes(folder, ".safetensors"),
                List.of(),
                "",
                Origin.reported(folder));
    }

    private static CardSubject gguf(Path folder, Map<String, List<Path>> models) {
        List<Map<String, Object>> files = new ArrayList<>();
        CardSubject first = null;
        for (Map.Entry<String, List<Path>> model : models.entrySet()) {
            try (Arena arena = Arena.ofConfined()) {
                GgufFile file = GgufFile.open(model.getValue().getFirst(), arena);
                String architecture = file.text("general.architecture").orElse("");
                String type = GgufFile.formatName(file.values()).orElse("");
                long bytes = model.getValue().stream()
                        .mapToLong(path -> path.toFile().length())
                        .sum();
                Map<String, Object> row = new LinkedHashMap<>();
                row.put("name", model.getKey());
                row.put("parts", model.getValue().size());
                row.put("type", type);
                row.put("size", ModelCard.size(bytes));
                files.add(row);
                if (first == null) {
                    first = new CardSubject(
                            Format.GGUF,
                            type,
                            "",
                            0,
                            0,
                            false,
                            "",
                            architecture,
                            file.integer(architecture + ".context_length").orElse(0L),
                            models.values().stream()
                                    .flatMap(List::stream)
                                    .mapToLong(path -> path.toFile().length())
                                    .sum(),
                            files,
                            file.text("quantize.imatrix.dataset").orElse(""),
                            ggufOrigin(file));
                }
            }
        }
        if (first == null) {
            throw new BadCheckpointException(folder, "has no GGUF file");
        }
        return first;
    }

    private static Origin ggufOrigin(GgufFile file) {
        Optional<String> from =
                file.text("general.source.repo_url").or(() -> file.text("general.base_model.0.repo_url"));
        return new Origin(
                from.filter(url -> url.startsWith(HUB))
                        .map(url -> url.substring(HUB.length()))
                        .orElse(null),
                null,
                file.text("general.license").map(List::of).orElse(List.of()),
                file.text("general.license.name").orElse(null),
                file.text("general.license.link").orElse(null),
                file.texts("general.languages"));
    }

    /** The models of a folder by what a user asks for: a file's name, or what the parts of one have in common. */
    private static Map<String, List<Path>> ggufModels(Path folder) {
        Map<String, List<Path>> models = new TreeMap<>();
        if (Files.isDirectory(folder)) {
            RepositoryFiles.list(folder).forEach((name, file) -> {
                if (GgufLocation.isModel(file)) {
                    models.computeIfAbsent(GgufSplit.model(name), _ -> new ArrayList<>())
                            .add(file);
                }
            });
        }
        return models;
    }

    private static long bytes(Path folder, String ending) {
        long bytes = 0;
        for (Map.Entry<String, Path> file : RepositoryFiles.list(folder).entrySet()) {
            try {
                bytes += file.getKey().endsWith(ending) ? Files.size(file.getValue()) : 0;
            } catch (IOException e) {
                throw new BadCheckpointException(file.getValue(), "cannot be read: " + e.getMessage(), e);
            }
        }
        return bytes;
    }

    /** What stands behind the model's name in the title. */
    String title() {
        return switch (format) {
            case AWQ -> method.equals("rtn") ? "4-bit by plain rounding" : "AWQ";
            case GPTQ -> bits + "-bit, GPTQ format";
            case COMPRESSED_TENSORS -> bits + "-bit, compressed-tensors";
            case GGUF -> "GGUF";
            case DENSE -> version + " safetensors";
        };
    }

    /** Tags by which people and loaders find it. */
    List<String> tags(boolean chat) {
        List<String> tags = new ArrayList<>();
        switch (format) {
            case AWQ -> tags.addAll(method.equals("rtn") ? List.of("autoawq", "rtn") : List.of("awq", "autoawq"));
            case GPTQ -> tags.addAll(List.of("gptq", "gptqmodel"));
            case COMPRESSED_TENSORS -> tags.add("compressed-tensors");
            case GGUF -> {
                tags.addAll(List.of("gguf", "llama.cpp"));
                if (!importance.isEmpty()) {
                    tags.add("imatrix");
                }
            }
            case DENSE -> {}
        }
        if (format != Format.AWQ && !method.isEmpty() && format != Format.DENSE) {
            tags.add(method);
        }
        if (format == Format.AWQ || format == Format.COMPRESSED_TENSORS || format == Format.GPTQ && symmetric) {
            tags.add("vllm");
        }
        if (bits > 0) {
            tags.add(bits + "-bit");
        }
        if (!architecture.isEmpty()) {
            tags.add(architecture);
        }
        if (chat) {
            tags.add("conversational");
        }
        tags.add("nibble");
        return tags.stream().distinct().toList();
    }

    /** Whether its weights hold less than the original's: what the hub calls quantized. */
    boolean isQuantized() {
        return format != Format.DENSE || from.contains("bits") || from.startsWith("GGUF");
    }
}
