package nibble.convert.verify;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import nibble.checkpoint.model.TensorNames;

/** Ways to damage a checkpoint folder: a config entry, a header, a tensor, a byte. */
final class FolderDamage {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String INDEX = CheckpointVerificationTest.INDEX;

    private FolderDamage() {}

    static void settings(Path folder, Consumer<ObjectNode> change) throws IOException {
        editConfig(folder, json -> change.accept((ObjectNode) json.get("quantization_config")));
    }

    static void group(Path folder, Consumer<ObjectNode> change) throws IOException {
        settings(
                folder,
                json -> change.accept((ObjectNode) json.get("config_groups").get("group_0")));
    }

    /** Gives a tensor another name of the same length, in its shard and in the index. */
    static void rename(Path folder, String tensor) throws IOException {
        String other = "x" + tensor.substring(1);
        Path shard = shardOf(folder, tensor);
        inHeader(shard, "\"" + tensor + "\"", "\"" + other + "\"");
        edit(folder, INDEX, "\"" + tensor + "\"", "\"" + other + "\"");
    }

    /** Gives a tensor another type of the same size and spelling's length. */
    static void retype(Path folder, String tensor, String from, String to) throws IOException {
        String start = "\"" + tensor + "\":{\"dtype\":\"";
        inHeader(shardOf(folder, tensor), start + from, start + to);
    }

    static Path shardOf(Path folder, String tensor) throws IOException {
        JsonNode index = JSON.readTree(folder.resolve(INDEX).toFile());
        return folder.resolve(index.get("weight_map").get(tensor).asText());
    }

    static Path shard(Path folder, int number) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().startsWith("model-0000" + number))
                    .findFirst()
                    .orElseThrow();
        }
    }

    static void truncate(Path file, int bytes) throws IOException {
        Files.write(file, Arrays.copyOf(Files.readAllBytes(file), (int) Files.size(file) - bytes));
    }

    /** Replaces text of a safetensors header by text of the same length. */
    static void inHeader(Path file, String from, String to) throws IOException {
        String bytes = Files.readString(file, StandardCharsets.ISO_8859_1);
        assertThat(bytes).contains(from);
        Files.writeString(file, bytes.replace(from, to), StandardCharsets.ISO_8859_1);
    }

    static void edit(Path folder, String name, String from, String to) throws IOException {
        String text = Files.readString(folder.resolve(name));
        assertThat(text).contains(from);
        Files.writeString(folder.resolve(name), text.replace(from, to));
    }

    static void editIndex(Path folder, Consumer<JsonNode> change) throws IOException {
        JsonNode json = JSON.readTree(folder.resolve(INDEX).toFile());
        change.accept(json);
        JSON.writeValue(folder.resolve(INDEX).toFile(), json);
    }

    static void editConfig(Path folder, Consumer<ObjectNode> change) throws IOException {
        ObjectNode json =
                (ObjectNode) JSON.readTree(folder.resolve("config.json").toFile());
        change.accept(json);
        JSON.writeValue(folder.resolve("config.json").toFile(), json);
    }

    static void swapShard(Path folder) throws IOException {
        editIndex(folder, json -> {
            ObjectNode map = (ObjectNode) json.get("weight_map");
            String where = map.get(TensorNames.EMBEDDING).asText();
            List<String> others = new ArrayList<>(map.findValuesAsText("x"));
            map.properties().forEach(entry -> others.add(entry.getValue().asText()));
            map.put(
                    TensorNames.EMBEDDING,
                    others.stream()
                            .filter(name -> !name.equals(where))
                            .findFirst()
                            .orElseThrow());
        });
    }

    /** Overwrites a 16-bit element of a tensor where it lies in its file. */
    static void poke(Path folder, String tensor, int element, short value) throws IOException {
        patch(folder, tensor, bytes -> {
            bytes[2 * element] = (byte) value;
            bytes[2 * element + 1] = (byte) (value >> 8);
        });
    }

    static void lessOne(Path folder, String zeros) throws IOException {
        patch(folder, zeros, bytes -> {
            for (int i = 0; i < bytes.length; i++) {
                int low = Math.max(0, (bytes[i] & 15) - 1);
                int high = Math.max(0, (bytes[i] >> 4 & 15) - 1);
                bytes[i] = (byte) (low | high << 4);
            }
        });
    }

    /** The two nibbles of every byte change places. */
    static void otherOrder(Path folder, String codes) throws IOException {
        patch(folder, codes, bytes -> {
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = (byte) ((bytes[i] & 15) << 4 | bytes[i] >> 4 & 15);
            }
        });
    }

    static void patch(Path folder, String tensor, Consumer<byte[]> change) throws IOException {
        Path file = shardOf(folder, tensor);
        try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
            long headerBytes = Long.reverseBytes(access.readLong());
            byte[] header = new byte[(int) headerBytes];
            access.readFully(header);
            JsonNode offsets = JSON.readTree(header).get(tensor).get("data_offsets");
            byte[] data = new byte[offsets.get(1).asInt() - offsets.get(0).asInt()];
            access.seek(8 + headerBytes + offsets.get(0).asLong());
            access.readFully(data);
            change.accept(data);
            access.seek(8 + headerBytes + offsets.get(0).asLong());
            access.write(data);
        }
    }
}
