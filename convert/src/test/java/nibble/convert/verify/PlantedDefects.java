package nibble.convert.verify;

import static nibble.convert.verify.FolderDamage.edit;
import static nibble.convert.verify.FolderDamage.editConfig;
import static nibble.convert.verify.FolderDamage.editIndex;
import static nibble.convert.verify.FolderDamage.group;
import static nibble.convert.verify.FolderDamage.inHeader;
import static nibble.convert.verify.FolderDamage.lessOne;
import static nibble.convert.verify.FolderDamage.otherOrder;
import static nibble.convert.verify.FolderDamage.patch;
import static nibble.convert.verify.FolderDamage.poke;
import static nibble.convert.verify.FolderDamage.rename;
import static nibble.convert.verify.FolderDamage.retype;
import static nibble.convert.verify.FolderDamage.settings;
import static nibble.convert.verify.FolderDamage.shard;
import static nibble.convert.verify.FolderDamage.truncate;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Stream;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizedFormat;

/** Things that go wrong with a quantized checkpoint, each with the check that must find it. */
final class PlantedDefects {
    private static final String INDEX = CheckpointVerificationTest.INDEX;

    private PlantedDefects() {}

    /** A change of a folder that may fail. */
    interface Defect {
        void plant(Path folder) throws IOException;
    }

    /**
     * A defect and how it is found.
     *
     * @param check the check that finds it
     * @param fragment part of what it says
     * @param applies whether the layout can have it
     */
    record Planted(String name, String check, String fragment, Defect defect, boolean applies) {
        Planted unless(boolean not) {
            return new Planted(name, check, fragment, defect, !not);
        }

        @Override
        public String toString() {
            return name;
        }
    }

    /** Those that have nothing to do with how linears are packed, and those that every layout can have. */
    static Stream<Planted> common(QuantizedFormat format) {
        String scales = format.name(Linear.UP.module(1), Role.SCALES);
        String codes = format.name(Linear.GATE.module(1), Role.CODES);
        String zeros = format.name(Linear.DOWN.module(1), Role.ZEROS);
        return Stream.of(
                        defect("a shard cut short", "shards", "cut short", f -> truncate(shard(f, 1), 100)),
                        defect("a shard missing", "shards", "-of-", f -> Files.delete(shard(f, 1))),
                        defect(
                                "a header without format",
                                "shards",
                                "no format",
                                f -> inHeader(shard(f, 1), "\"format\":\"pt\"", "\"forma_\":\"pt\"")),
                        defect(
                                "a wrong total",
                                "index",
                                "total_size",
                                f -> editIndex(f, json -> ((ObjectNode) json.get("metadata")).put("total_size", 7))),
                        defect(
                                "an index without a total",
                                "index",
                                "missing",
                                f -> editIndex(f, json -> ((ObjectNode) json).remove("metadata"))),
                        defect(
                                "a tensor the index leaves out",
                                "index",
                                "not a tensor of this model",
                                f -> editIndex(
                                        f, json -> ((ObjectNode) json.get("weight_map")).remove("model.norm.weight"))),
                        defect("an index that names another shard", "index", "should be in", FolderDamage::swapShard),
                        defect(
                                "an old weights file",
                                "index",
                                "does not name this file",
                                f -> Files.copy(shard(f, 1), f.resolve("old.safetensors"))),
                        defect(
                                "a pickle beside the weights",
                                "shards",
                                "pickle",
                                f -> Files.writeString(f.resolve("pytorch_model.bin"), "x")),
                        defect(
                                "config.json of another width",
                                "tensors",
                                "config.json asks for",
                                f -> edit(f, "config.json", "\"hidden_size\" : 64", "\"hidden_size\" : 72")),
                        defect(
                                "config.json of another group size",
                                "tensors",
                                "config.json asks for",
                                f -> edit(f, "config.json", "\"group_size\" : 32", "\"group_size\" : 64")),
                        defect(
                                "a group size that is not supported",
                                "tensors",
                                "group size 48",
                                f -> edit(f, "config.json", "\"group_size\" : 32", "\"group_size\" : 48")),
                        defect("codes of a linear missing", "tensors", codes, f -> rename(f, codes)),
                        defect("scales of a linear missing", "tensors", scales, f -> rename(f, scales)),
                        defect("zeros of a linear missing", "tensors", zeros, f -> rename(f, zeros)),
                        defect(
                                "codes of another type",
                                "tensors",
                                "found type F32",
                                f -> retype(f, codes, "I32", "F32")),
                        defect(
                                "scales of another type",
                                "tensors",
                                "found type I16",
                                f -> retype(f, scales, "F16", "I16")),
                        defect(
                                        "bits that disagree in GPTQ's file",
                                        "quantization-config",
                                        "bits is 8",
                                        f -> Files.writeString(
                                                f.resolve("quantize_config.json"), "{\"bits\": 8, \"group_size\": 32}"))
                                .unless(format == QuantizedFormat.COMPRESSED_TENSORS),
                        defect(
                                "no tokenizer",
                                "tokenizer",
                                "neither tokenizer.json",
                                f -> Files.delete(f.resolve("tokenizer.json"))),
                        defect(
                                "a larger tokenizer",
                                "tokenizer",
                                "another model's",
                                f -> edit(f, "tokenizer.json", "\"b\":1", "\"b\":48")),
                        defect(
                                "a broken tokenizer",
                                "tokenizer",
                                "tokenizer.json",
                                f -> edit(f, "tokenizer.json", "}", "")),
                        defect(
                                "no chat template",
                                "chat-template",
                                "chat_template",
                                f -> Files.writeString(f.resolve("tokenizer_config.json"), "{}")),
                        defect(
                                "a temperature without sampling",
                                "generation-config",
                                "do_sample",
                                f -> Files.writeString(f.resolve("generation_config.json"), "{\"temperature\": 0.6}")),
                        defect(
                                "an end that no token has",
                                "generation-config",
                                "outside the vocabulary",
                                f -> Files.writeString(
                                        f.resolve("generation_config.json"), "{\"eos_token_id\": [2, 48]}")),
                        defect(
                                "what a stopped copy leaves",
                                "files",
                                "stopped program",
                                f -> Files.writeString(f.resolve("model.safetensors.tmp"), "x")),
                        defect(
                                "a scale that is not a number",
                                "scales",
                                "NaN",
                                f -> poke(f, scales, 3, (short) 0x7e00)),
                        defect("an infinite scale", "scales", "Infinity", f -> poke(f, scales, 5, (short) 0x7c00)),
                        defect(
                                "a negative scale",
                                "scales",
                                "scales are above 0",
                                f -> poke(f, scales, 5, (short) 0xb000)),
                        defect("a scale of zero", "scales", "1 scales of 0", f -> poke(f, scales, 5, (short) 0)),
                        defect(
                                "an infinite gain",
                                "numbers",
                                "Infinity",
                                f -> poke(f, TensorNames.FINAL_NORM, 1, (short) 0x7c00)),
                        defect("zero points less one", "zeros", "GPTQ", f -> lessOne(f, zeros)),
                        defect("codes in another order", "source", "another order", f -> otherOrder(f, codes)),
                        defect(
                                "a bit that flipped after checksums were written",
                                "sha256",
                                "has changed since",
                                f -> poke(f, TensorNames.EMBEDDING, 0, (short) 0x0101)))
                .filter(Planted::applies);
    }

    /** Those of one layout and its loaders. */
    static Stream<Planted> of(QuantizedFormat format) {
        String module = Linear.V.module(0);
        return switch (format) {
            case AWQ_GEMM ->
                Stream.of(
                        defect(
                                "group sizes that disagree",
                                "quantization-config",
                                "group_size is 64",
                                f -> edit(f, "quant_config.json", "\"q_group_size\" : 32", "\"q_group_size\" : 64")),
                        defect(
                                "no quantization_config",
                                "quantization-config",
                                "as if it were not quantized",
                                f -> editConfig(f, json -> json.remove("quantization_config"))),
                        defect(
                                "bfloat16 in the config",
                                "config",
                                "bfloat16",
                                f -> edit(f, "config.json", "\"float16\"", "\"bfloat16\"")),
                        setting(
                                "a quantized linear that loaders leave dense",
                                "modules_to_not_convert",
                                json -> json.putArray("modules_to_not_convert").add("v_proj")),
                        defect(
                                "the layout of another kernel",
                                "tensors",
                                "version \"gemv\"",
                                f -> settings(f, json -> json.put("version", "gemv"))),
                        defect(
                                "no zero points by the config",
                                "tensors",
                                "zero_point false",
                                f -> settings(f, json -> json.put("zero_point", false))));
            case GPTQ, GPTQ_V2 ->
                Stream.of(
                        defect(
                                "group sizes that disagree",
                                "quantization-config",
                                "group_size is 64",
                                f -> edit(f, "quantize_config.json", "\"group_size\" : 32", "\"group_size\" : 64")),
                        defect(
                                "versions that disagree",
                                "quantization-config",
                                "checkpoint_format is",
                                f -> edit(
                                        f,
                                        "quantize_config.json",
                                        "\"checkpoint_format\" : \"gptq",
                                        "\"checkpoint_format\" : \"x-gptq")),
                        defect(
                                "symmetry that disagrees",
                                "quantization-config",
                                "sym is true",
                                f -> edit(f, "quantize_config.json", "\"sym\" : false", "\"sym\" : true")),
                        defect(
                                "an order of columns that disagrees",
                                "quantization-config",
                                "desc_act is true",
                                f -> edit(f, "quantize_config.json", "\"desc_act\" : false", "\"desc_act\" : true")),
                        defect(
                                "no quantization_config",
                                "quantization-config",
                                "as if it were not quantized",
                                f -> editConfig(f, json -> json.remove("quantization_config"))),
                        defect(
                                "zeros of one version under the other's name",
                                "zeros",
                                "GPTQ stores them less one",
                                f -> settings(
                                        f,
                                        json -> json.put(
                                                "checkpoint_format",
                                                format == QuantizedFormat.GPTQ ? "gptq_v2" : "gptq"))),
                        defect(
                                "zero points in what calls itself symmetric",
                                "zeros",
                                "symmetric",
                                f -> settings(f, json -> json.put("sym", true))),
                        defect(
                                "columns in an order that the config denies",
                                "order",
                                "desc_act true",
                                f -> patch(f, format.name(module, Role.GROUPS), bytes -> bytes[0] = 1)),
                        defect(
                                "a group that there is not",
                                "order",
                                "there are 2",
                                f -> patch(f, format.name(module, Role.GROUPS), bytes -> bytes[8] = 2)),
                        defect(
                                "a group below the first",
                                "order",
                                "there are 2",
                                f -> patch(
                                        f,
                                        format.name(module, Role.GROUPS),
                                        bytes -> Arrays.fill(bytes, 8, 12, (byte) 0xff))),
                        defect("an order of columns that is missing", "order", "g_idx is missing", f -> {
                            settings(f, json -> json.put("desc_act", true));
                            rename(f, format.name(module, Role.GROUPS));
                        }),
                        setting(
                                "linears that loaders leave dense",
                                "modules_in_block_to_quantize",
                                json -> json.putArray("modules_in_block_to_quantize")
                                        .addArray()
                                        .add("self_attn.q_proj")),
                        setting(
                                "a rule that leaves a quantized linear dense",
                                "dynamic has the rule -:.*\\.v_proj, yet " + module + " is quantized",
                                json -> json.putObject("dynamic").putObject("-:.*\\.v_proj")),
                        format == QuantizedFormat.GPTQ
                                ? defect(
                                        "zero points in the first version",
                                        "quantization-config",
                                        "GPTQModel rejects",
                                        f -> {})
                                : defect("zero points", "loaders", "vLLM since 0.17 refuses", f -> {}));
            case COMPRESSED_TENSORS ->
                Stream.of(
                        defect(
                                "no quantization_config",
                                "tensors",
                                "are quantized (*.weight_packed)",
                                f -> editConfig(f, json -> json.remove("quantization_config"))),
                        setting(
                                "weights that loaders take for dense",
                                "quantization_status is frozen",
                                json -> json.put("quantization_status", "frozen")),
                        setting(
                                "no status",
                                "quantization_status is missing",
                                json -> json.remove("quantization_status")),
                        setting("a head that loaders take for packed", "lacks lm_head", json -> json.remove("ignore")),
                        setting(
                                "a packed linear that loaders pass over",
                                "ignore covers " + module,
                                json -> json.withArray("ignore").add("re:.*layers.0.self_attn.v_")),
                        defect(
                                "targets that leave linears out",
                                "quantization-config",
                                "targets leave out",
                                f -> group(f, json -> json.putArray("targets").add("re:.*q_proj"))),
                        defect(
                                "a pattern without end",
                                "quantization-config",
                                "targets leave out",
                                f -> group(
                                        f,
                                        json -> json.putArray("targets")
                                                .add("re:(.*.*.*.*.*.*)*x$")
                                                .add("re:(?:(?:(?:^){9999}){9999}){9999}.*"))),
                        defect(
                                "a key that loaders refuse",
                                "quantization-config",
                                "the key color",
                                f -> group(f, json -> ((ObjectNode) json.get("weights")).put("color", 1))),
                        defect(
                                "zero points in what calls itself symmetric",
                                "zeros",
                                "symmetric",
                                f -> group(f, json -> ((ObjectNode) json.get("weights")).put("symmetric", true))),
                        defect(
                                "a shape that is missing",
                                "tensors",
                                "needs to unpack",
                                f -> rename(f, format.name(module, Role.SHAPE))),
                        defect(
                                "a shape of another model",
                                "tensors",
                                "says [40, 64]",
                                f -> patch(f, format.name(module, Role.SHAPE), bytes -> bytes[0] = 40)),
                        defect(
                                "an order of columns that is missing",
                                "order",
                                "weight_g_idx is missing",
                                f -> group(f, json -> ((ObjectNode) json.get("weights")).put("actorder", "group"))),
                        defect(
                                "a layout of another name",
                                "tensors",
                                "int-quantized",
                                f -> settings(f, json -> json.put("format", "int-quantized"))),
                        defect(
                                "quantized activations",
                                "tensors",
                                "quantized activations",
                                f -> group(
                                        f,
                                        json -> json.putObject("input_activations")
                                                .put("num_bits", 8))));
        };
    }

    private static Planted defect(String name, String check, String fragment, Defect defect) {
        return new Planted(name, check, fragment, defect, true);
    }

    private static Planted setting(String name, String fragment, Consumer<ObjectNode> change) {
        return defect(name, "quantization-config", fragment, f -> settings(f, change));
    }
}
