package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole checkpoints in PyTorch files, Hugging Face's naming and Meta's. */
class TorchCheckpointTest {
    private static final int HEAD_DIM = 8;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void shards_with_an_index_open_as_the_same_model_and_rotary_tensors_are_left_alone() throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        StringBuilder index = new StringBuilder("{\"metadata\": {}, \"weight_map\": {");
        List<Map.Entry<TensorSpec, byte[]>> entries = new ArrayList<>(model.entrySet());
        for (int shard = 0; shard < 2; shard++) {
            SequencedMap<TensorSpec, byte[]> part = new LinkedHashMap<>();
            String file = "pytorch_model-0000" + (shard + 1) + "-of-00002.bin";
            for (var entry : entries.subList(shard * 10, shard == 0 ? 10 : entries.size())) {
                part.put(entry.getKey(), entry.getValue());
            }
            part.put(
                    new TensorSpec("model.layers." + shard + ".self_attn.rotary_emb.inv_freq", DType.F32, Shape.of(4)),
                    new byte[16]);
            TorchZip.write(folder.resolve(file), part);
            part.keySet()
                    .forEach(spec -> index.append(index.charAt(index.length() - 1) == '{' ? "" : ",")
                            .append('"')
                            .append(spec.name())
                            .append("\":\"")
                            .append(file)
                            .append('"'));
        }
        Files.writeString(folder.resolve("pytorch_model.bin.index.json"), index.append("}}"));
        Files.writeString(folder.resolve("training_args.bin"), "not weights");
        assertSame(model);
        Files.delete(folder.resolve("pytorch_model-00002-of-00002.bin"));
        assertThatThrownBy(() -> Checkpoint.open(folder)).hasMessageContaining("pytorch_model-00002-of-00002.bin");
    }

    /** torch.save({"model": {"state_dict": …}, "epoch": 3, "step": tensor}): what scripts of training leave. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "model",
                "state_dict",
                "module",
                "model_state_dict",
                "state model",
                "model state_dict",
                "state state_dict module"
            })
    void weights_inside_dicts_with_other_things_beside_them_are_found(String keys) throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        TorchZip.writeUnder(folder.resolve("pytorch_model.bin"), List.of(keys.split(" ")), model);
        assertSame(model);
    }

    @Test
    void weights_under_module_with_names_behind_module_are_found() throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        SequencedMap<TensorSpec, byte[]> wrapped = new LinkedHashMap<>();
        model.forEach(
                (spec, data) -> wrapped.put(new TensorSpec("module." + spec.name(), spec.dtype(), spec.shape()), data));
        TorchZip.writeUnder(folder.resolve("pytorch_model.bin"), List.of("module"), wrapped);
        assertSame(model);
    }

    @Test
    void one_file_opens_and_safetensors_go_first() throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        TorchZip.write(folder.resolve("pytorch_model.bin"), model);
        assertSame(model);
        Files.writeString(folder.resolve("model.safetensors"), "damaged");
        assertThatThrownBy(() -> Checkpoint.open(folder)).hasMessageContaining("model.safetensors");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void metas_parts_are_joined_renamed_and_their_heads_reordered(int parts) throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        Files.delete(folder.resolve("config.json"));
        writeMeta(model, parts, false);
        assertSame(model);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            ModelConfig config = checkpoint.config();
            assertThat(config.intermediateSize()).isEqualTo(64);
            assertThat(config.kvHeads()).isEqualTo(2);
            assertThat(config.vocabularySize()).isEqualTo(24);
            assertThat(config.maxPositions()).isEqualTo(4096);
            assertThat(config.rmsNormEps()).isEqualTo(1e-5);
            assertThat(config.json().get("architectures").get(0).asText()).isEqualTo("LlamaForCausalLM");
        }
    }

    @Test
    void an_embedding_split_by_tokens_as_llama_3_has_it_is_joined_by_rows() throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        Files.delete(folder.resolve("config.json"));
        writeMeta(model, 2, true);
        assertSame(model);
    }

    @Test
    void a_missing_part_is_found_by_the_shapes() throws IOException {
        SequencedMap<TensorSpec, byte[]> model = model();
        Files.delete(folder.resolve("config.json"));
        writeMeta(model, 2, false);
        Files.delete(folder.resolve("consolidated.01.pth"));
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("model.embed_tokens.weight");
    }

    private void assertSame(SequencedMap<TensorSpec, byte[]> model) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            model.forEach((spec, data) -> {
                TensorView found = checkpoint.tensor(spec.name());
                assertThat(found.spec()).isEqualTo(spec);
                assertThat(found.data().toArray(ValueLayout.JAVA_BYTE))
                        .as(spec.name())
                        .isEqualTo(data);
            });
        }
    }

    private SequencedMap<TensorSpec, byte[]> model() throws IOException {
        Random random = new Random(3);
        SequencedMap<TensorSpec, byte[]> model = new LinkedHashMap<>();
        for (TensorSpec spec : TinyCheckpoint.config(folder).tensors()) {
            byte[] data = new byte[(int) spec.bytes()];
            random.nextBytes(data);
            model.put(spec, data);
        }
        return model;
    }

    private void writeMeta(SequencedMap<TensorSpec, byte[]> model, int parts, boolean tokensSplit) throws IOException {
        Files.writeString(folder.resolve("params.json"), """
            {"dim": 32, "multiple_of": 256, "n_heads": 4, "n_kv_heads": 2, "n_layers": 2, "norm_eps": 1e-05, "vocab_size": -1}
            """);
        for (int part = 0; part < parts; part++) {
            SequencedMap<TensorSpec, byte[]> tensors = new LinkedHashMap<>();
            for (var entry : model.entrySet()) {
                String name = entry.getKey().name();
                byte[] data = name.contains("q_proj") || name.contains("k_proj")
                        ? interleaved(entry.getKey(), entry.getValue())
                        : entry.getValue();
                boolean columns =
                        name.contains("o_proj") || name.contains("down_proj") || name.contains("embed") && !tokensSplit;
                put(tensors, metaName(name), entry.getKey(), data, part, parts, columns);
            }
            tensors.put(new TensorSpec("rope.freqs", DType.F16, Shape.of(4)), new byte[8]);
            TorchZip.write(folder.resolve("consolidated.0" + part + ".pth"), tensors);
        }
    }

    private static void put(
            SequencedMap<TensorSpec, byte[]> tensors,
            String name,
            TensorSpec spec,
            byte[] data,
            int part,
            int parts,
            boolean columns) {
        if (spec.shape().rank() == 1) {
            tensors.put(new TensorSpec(name, spec.dtype(), spec.shape()), data);
            return;
        }
        int rows = (int) spec.shape().dim(0);
        int rowBytes = data.length / rows;
        byte[] cut = new byte[data.length / parts];
        if (columns) {
            int length = rowBytes / parts;
            for (int row = 0; row < rows; row++) {
                System.arraycopy(data, row * rowBytes + part * length, cut, row * length, length);
            }
        } else {
            System.arraycopy(data, part * cut.length, cut, 0, cut.length);
        }
        long width = spec.shape().dim(1);
        Shape shape = columns ? Shape.of(rows, width / parts) : Shape.of(rows / parts, width);
        tensors.put(new TensorSpec(name, spec.dtype(), shape), cut);
    }

    /** Row 2i + j of a head from row i + j * half of it, as Meta's rotary embedding by complex numbers wants. */
    private static byte[] interleaved(TensorSpec spec, byte[] halves) {
        int rows = (int) spec.shape().dim(0);
        int rowBytes = halves.length / rows;
        byte[] result = new byte[halves.length];
        for (int head = 0; head < rows / HEAD_DIM; head++) {
            for (int i = 0; i < HEAD_DIM / 2; i++) {
                for (int j = 0; j < 2; j++) {
                    int from = head * HEAD_DIM + j * HEAD_DIM / 2 + i;
                    int to = head * HEAD_DIM + 2 * i + j;
                    System.arraycopy(halves, from * rowBytes, result, to * rowBytes, rowBytes);
                }
            }
        }
        return result;
    }

    private static String metaName(String name) {
        return name.replace("model.layers.", "layers.")
                .replace("self_attn.q_proj", "attention.wq")
                .replace("self_attn.k_proj", "attention.wk")
                .replace("self_attn.v_proj", "attention.wv")
                .replace("self_attn.o_proj", "attention.wo")
                .replace("mlp.gate_proj", "feed_forward.w1")
                .replace("mlp.down_proj", "feed_forward.w2")
                .replace("mlp.up_proj", "feed_forward.w3")
                .replace("input_layernorm", "attention_norm")
                .replace("post_attention_layernorm", "ffn_norm")
                .replace("model.embed_tokens", "tok_embeddings")
                .replace("model.norm", "norm")
                .replace("lm_head", "output");
    }
}
