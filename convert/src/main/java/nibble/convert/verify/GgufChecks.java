package nibble.convert.verify;

import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.gguf.GgufSplit;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Architectures;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;

/**
 * Every check that llama.cpp makes of a GGUF model, and those of numbers that it makes when asked: files and their
 * parts, order and alignment of tensors, tokenizer, special ids, tensors by the architecture, finite weights and
 * scales.
 */
final class GgufChecks {
    private static final String FILE = "gguf";
    private static final String TOKENIZER = "tokenizer";

    /** Bytes of a name that ggml can hold, with the one that ends it. */
    private static final int MOST_NAME_BYTES = 64;

    /** Kinds of pieces: normal, unknown, control, user-defined, unused, byte. */
    private static final long MOST_KIND = 6;

    private final List<GgufFile> files;
    private final Consumer<Finding> findings;

    private GgufChecks(List<GgufFile> files, Consumer<Finding> findings) {
        this.files = files;
        this.findings = findings;
    }

    /**
     * Checks a model.
     *
     * @param file the one, or any one of its parts
     * @param findings told each thing that is wrong
     * @return the files that it is made of, as far as they could be opened
     */
    public static List<Path> run(Path file, Consumer<Finding> findings) {
        try (Arena arena = Arena.ofShared()) {
            List<GgufFile> files = GgufSplit.open(file, arena);
            GgufChecks checks = new GgufChecks(files, findings);
            files.forEach(checks::order);
            files.forEach(checks::end);
            files.forEach(part -> GgufNumbers.check(part, findings));
            checks.metadata();
            return files.stream().map(GgufFile::path).toList();
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(FILE, e));
            return List.of(file);
        }
    }

    private void error(String check, Path file, String message) {
        findings.accept(Finding.error(check, file + ": " + message));
    }

    /** llama.cpp takes tensors only where the header's order and alignment put them. */
    private void order(GgufFile file) {
        long alignment = file.integer("general.alignment").orElse(32L);
        long expected = 0;
        for (GgufFile.Tensor tensor : file.tensors().values()) {
            if (tensor.offset() != expected) {
                error(
                        FILE,
                        file.path(),
                        "tensor " + tensor.name() + " begins at data byte " + tensor.offset()
                                + ", its neighbours put it" + " at " + expected
                                + ", and llama.cpp rejects any other place; write the file again");
                return;
            }
            expected += (tensor.data().byteSize() + alignment - 1) / alignment * alignment;
            if (tensor.name().getBytes(StandardCharsets.UTF_8).length >= MOST_NAME_BYTES) {
                error(
                        FILE,
                        file.path(),
                        "tensor " + tensor.name() + " has a name of more than " + (MOST_NAME_BYTES - 1)
                                + " bytes, which llama.cpp rejects; write the file again");
            }
        }
    }

    private void end(GgufFile file) {
        if (file.trailingBytes() >= file.integer("general.alignment").orElse(32L)) {
            findings.accept(Finding.warning(
                    FILE,
                    file.path() + ": " + file.trailingBytes()
                            + " bytes follow the last tensor, and no loader reads them: the header is another file's,"
                            + " or something was added; get the file again"));
        }
    }

    private void metadata() {
        GgufFile first = files.getFirst();
        try {
            String architecture = first.text("general.architecture").orElse("");
            if (architecture.isEmpty()) {
                error(FILE, first.path(), "metadata key general.architecture is missing; get the file again");
                return;
            }
            tokenizer(first);
            if (GgufFile.formatName(first.values()).isEmpty()) {
                findings.accept(Finding.warning(
                        FILE,
                        first.path() + ": general.file_type is "
                                + first.integer("general.file_type")
                                        .map(String::valueOf)
                                        .orElse("missing")
                                + ", so programs guess the file's type; write the file again"));
            }
            Optional<GgufType> unread = files.stream()
                    .flatMap(file -> file.tensors().values().stream())
                    .map(GgufFile.Tensor::type)
                    .filter(type -> !type.isRead())
                    .findFirst();
            boolean experts = first.integer(architecture + ".expert_count").orElse(0L) > 0;
            if (Architectures.ofGguf(architecture, false, experts, false, false).isEmpty() || unread.isPresent()) {
                findings.accept(Finding.warning(
                        "tensors",
                        first.path() + ": architecture \"" + architecture + "\"" + (experts ? " with experts" : "")
                                + unread.map(type -> " with tensors of type " + type)
                                        .orElse("")
                                + " is not yet supported: names and shapes of tensors were not checked against it"));
            } else {
                tensors(first);
            }
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(FILE, e));
        }
    }

    /** By opening: names, types and shapes against the metadata. */
    private void tensors(GgufFile first) {
        try (Checkpoint checkpoint = Checkpoint.open(first.path())) {
            // Those that the architecture knows have Hugging Face's names here.
            checkpoint.names().stream()
                    .filter(name -> !name.startsWith("model.") && !name.equals(TensorNames.HEAD))
                    .findFirst()
                    .ifPresent(name -> error(
                            "tensors",
                            checkpoint.fileOf(name),
                            "tensor " + name
                                    + " is not one of the architecture's, and llama.cpp rejects a file with"
                                    + " additional tensors; write the file again"));
            for (GgufFile file : files) {
                for (GgufFile.Tensor tensor : file.tensors().values()) {
                    if (tensor.shape().rank() == 1 && tensor.type() != GgufType.F32) {
                        error(
                                "tensors",
                                file.path(),
                                "tensor " + tensor.name() + " is " + tensor.type()
                                        + ", llama.cpp computes norms, biases and factors in F32 only; write the file"
                                        + " again");
                    }
                }
            }
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of("tensors", e));
        }
    }

    private void tokenizer(GgufFile first) {
        Path file = first.path();
        Optional<String> model = first.text("tokenizer.ggml.model");
        if (model.isEmpty()) {
            error(
                    TOKENIZER,
                    file,
                    "metadata key tokenizer.ggml.model is missing, and without a tokenizer llama.cpp rejects the file;"
                            + " write it again");
            return;
        }
        long tokens =
                first.metadata().list("tokenizer.ggml.tokens", String.class).size();
        if (tokens == 0) {
            error(TOKENIZER, file, "tokenizer.ggml.tokens is missing or empty; write the file again");
            return;
        }
        embedding(tokens);
        List<Double> scores = first.metadata().list("tokenizer.ggml.scores", Double.class);
        if (!scores.isEmpty() && scores.size() != tokens
                || scores.isEmpty() && model.get().equals("llama")) {
            error(
                    TOKENIZER,
                    file,
                    "tokenizer.ggml.scores has " + scores.size() + " scores for " + tokens
                            + " tokens; write the file again");
        }
        if (scores.stream().anyMatch(score -> !Double.isFinite(score))) {
            error(TOKENIZER, file, "tokenizer.ggml.scores has a score that is not finite; write the file again");
        }
        List<Long> kinds = first.metadata().list("tokenizer.ggml.token_type", Long.class);
        if (!kinds.isEmpty() && kinds.size() != tokens) {
            error(
                    TOKENIZER,
                    file,
                    "tokenizer.ggml.token_type has " + kinds.size() + " kinds for " + tokens
                            + " tokens; write the file again");
        }
        kinds.stream()
                .filter(kind -> kind < 0 || kind > MOST_KIND)
                .findFirst()
                .ifPresent(kind -> error(
                        TOKENIZER,
                        file,
                        "tokenizer.ggml.token_type has a kind " + kind + ", expected 0 to " + MOST_KIND
                                + "; write the file again"));
        if (model.get().equals("gpt2")
                && first.metadata().list("tokenizer.ggml.merges", String.class).isEmpty()) {
            error(
                    TOKENIZER,
                    file,
                    "tokenizer.ggml.merges is missing, which byte-level BPE needs; write the file again");
        }
        if (model.get().equals("gpt2") && first.text("tokenizer.ggml.pre").isEmpty()) {
            findings.accept(Finding.warning(
                    TOKENIZER,
                    file + ": tokenizer.ggml.pre is missing, so llama.cpp splits text by its default and warns of worse"
                            + " output; write the file again"));
        }
        for (String key : first.metadata().values().keySet()) {
            if (key.startsWith("tokenizer.ggml.") && key.endsWith("token_id")) {
                long id = first.integer(key).orElse(-1L);
                if (id < 0 || id >= tokens) {
                    error(
                            TOKENIZER,
                            file,
                            key + " is " + id + ", the vocabulary has " + tokens
                                    + " tokens; llama.cpp would take another one: write the file again");
                }
            }
        }
        if (first.text("tokenizer.chat_template").isEmpty()) {
            findings.accept(Finding.warning(
                    "chat-template",
                    file
                            + ": no tokenizer.chat_template, so chat programs guess; add one if the model is"
                            + " made for chat"));
        }
    }

    private void embedding(long tokens) {
        for (GgufFile file : files) {
            GgufFile.Tensor embedding = file.tensors().get("token_embd.weight");
            if (embedding != null && embedding.shape().dim(0) != tokens) {
                error(
                        TOKENIZER,
                        file.path(),
                        "token_embd.weight has " + embedding.shape().dim(0) + " rows, tokenizer.ggml.tokens " + tokens
                                + " tokens, and llama.cpp rejects the file; write it again");
            }
        }
    }
}
