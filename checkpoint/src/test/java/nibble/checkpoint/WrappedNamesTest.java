package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import nibble.checkpoint.safetensors.RawSafetensors;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Tensors under other names than {@code model.…} and {@code lm_head.…}, as programs leave them. */
class WrappedNamesTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private void write(UnaryOperator<String> renamed) throws IOException {
        List<TensorSpec> specs = TinyCheckpoint.config(folder).tensors().stream()
                .map(spec -> new TensorSpec(renamed.apply(spec.name()), spec.dtype(), spec.shape()))
                .toList();
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
    }

    private List<byte[]> data() {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            return checkpoint.config().tensors().stream()
                    .map(spec -> checkpoint.tensor(spec.name()).data().toArray(ValueLayout.JAVA_BYTE))
                    .toList();
        }
    }

    private void assertReads(UnaryOperator<String> renamed) throws IOException {
        write(name -> name);
        List<byte[]> expected = data();
        write(renamed);
        List<byte[]> found = data();
        for (int i = 0; i < expected.size(); i++) {
            assertThat(found.get(i)).isEqualTo(expected.get(i));
        }
    }

    private List<Finding> remarks() {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            return checkpoint.remarks();
        }
    }

    /** transformers 5.17 finds these: no key missing, none unexpected. */
    @ParameterizedTest
    @ValueSource(strings = {"without model.", "model.model."})
    void names_that_transformers_takes_are_taken_without_a_word(String how) throws IOException {
        assertReads(name -> how.equals("model.model.") ? "model." + name : name.replaceFirst("^model\\.", ""));
        assertThat(remarks()).isEmpty();
    }

    /** transformers 5.17 finds none of these and makes up random weights. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "module.",
                "_orig_mod.",
                "base_model.model.",
                "language_model.",
                "module._orig_mod.",
                "_orig_mod.module."
            })
    void wrappers_are_looked_behind_and_said(String wrapper) throws IOException {
        assertReads(name -> wrapper + name);
        assertThat(remarks()).singleElement().satisfies(remark -> {
            assertThat(remark.severity()).isEqualTo(Finding.Severity.ERROR);
            assertThat(remark.message())
                    .contains(wrapper + "model.embed_tokens.weight", "model.embed_tokens.weight and so on");
        });
    }

    @Test
    void wrappers_inside_a_name_and_around_the_decoder_alone_are_looked_behind() throws IOException {
        assertReads(name -> name.replace(".self_attn.", "._orig_mod.self_attn."));
        assertReads(name -> name.replaceFirst("^model\\.", "model._fsdp_wrapped_module."));
        assertReads(name -> name.replaceFirst("^model\\.", "model.language_model."));
        assertReads(name -> name.replaceFirst("^model\\.", "module."));
    }

    @Test
    void an_unknown_wrapper_is_named() throws IOException {
        write(name -> "something." + name);
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll(
                        "model.embed_tokens.weight",
                        "is missing",
                        "something.model.embed_tokens.weight",
                        "\"something.model.\"");
    }

    @ParameterizedTest
    @CsvSource({
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "model.layers.0.self_attn.q_proj.base_layer.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A"
    })
    void an_adapter_that_is_not_merged_is_refused(String extra) throws IOException {
        List<TensorSpec> specs = new ArrayList<>(TinyCheckpoint.config(folder).tensors());
        specs.add(new TensorSpec(extra, DType.F16, Shape.of(8, 32)));
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll(extra, "adapter (LoRA)", "merge");
    }

    @Test
    void an_adapters_folder_is_said_to_be_one_with_its_base_and_the_way_out() throws IOException {
        Files.writeString(
                folder.resolve("adapter_config.json"),
                "{\"peft_type\":\"LORA\",\"base_model_name_or_path\":\"org/base-7b\",\"r\":8}");
        RawSafetensors.write(
                folder.resolve("adapter_model.safetensors"),
                List.of(new TensorSpec(
                        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", DType.F16, Shape.of(8, 32))));
        for (boolean config : new boolean[] {false, true}) {
            if (config) {
                TinyCheckpoint.config(folder);
            }
            assertThatThrownBy(() -> Checkpoint.open(folder))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContainingAll("adapter (LORA", "org/base-7b", "merge_and_unload()");
        }
    }

    @Test
    void an_adapter_beside_a_whole_model_is_not_its_weights_and_is_said() throws IOException {
        TinyCheckpoint.write(folder);
        Files.writeString(folder.resolve("adapter_model.safetensors"), "not looked at");
        Files.writeString(folder.resolve("adapter_config.json"), "{}");
        assertThat(remarks())
                .singleElement()
                .extracting(Finding::message)
                .asString()
                .contains("adapter_model.safetensors", "does not apply it");
    }

    @Test
    void a_missing_head_is_said_with_what_it_may_mean() throws IOException {
        List<TensorSpec> specs = TinyCheckpoint.config(folder).tensors();
        RawSafetensors.write(folder.resolve("model.safetensors"), specs.subList(0, specs.size() - 1));
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll(
                        "lm_head.weight", "tie_word_embeddings is false", "set tie_word_embeddings to true");
    }

    @Test
    void two_tensors_of_one_name_behind_wrappers_are_refused() throws IOException {
        List<TensorSpec> specs = new ArrayList<>(TinyCheckpoint.config(folder).tensors());
        specs.add(new TensorSpec(
                "_orig_mod." + specs.getFirst().name(),
                DType.F16,
                specs.getFirst().shape()));
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .hasMessageContainingAll("another tensor is model.embed_tokens.weight too");
    }

    /** A folder of a trainer's checkpoint: only its weights are weights. */
    @Test
    void what_trainers_save_beside_a_model_is_no_weight_file() throws IOException {
        TinyCheckpoint.config(folder);
        for (String name : List.of("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin")) {
            Files.writeString(folder.resolve(name), "not weights");
        }
        assertThatThrownBy(() -> Checkpoint.open(folder)).hasMessageContaining("no weights");
    }

    @Test
    void a_gguf_file_is_one_by_its_first_bytes_whatever_its_name_and_what_lies_beside_it() throws IOException {
        byte[] start = Arrays.copyOf("GGUF".getBytes(StandardCharsets.US_ASCII), 24);
        TinyCheckpoint.config(folder);
        for (String name : List.of("sha256-0123abcd", "model.bin.download", "MODEL.GGUF")) {
            Path file = Files.write(folder.resolve(name), start);
            assertThatThrownBy(() -> Checkpoint.open(file)).as(name).hasMessageContaining("GGUF version 0");
        }
        Files.delete(folder.resolve("sha256-0123abcd"));
        // The one named so, although config.json lies there too.
        assertThatThrownBy(() -> Checkpoint.open(folder)).hasMessageContainingAll("MODEL.GGUF", "GGUF version 0");
        TinyCheckpoint.write(folder);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.weightFiles()).containsExactly(folder.resolve("model.safetensors"));
        }
    }
}
