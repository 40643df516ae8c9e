package nibble.checkpoint.safetensors;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Spreads tensors over safetensors files, known to the byte before anything is written. Tensors keep the given order; a
 * shard is closed when the next tensor would take its data above the limit. A tensor larger than the limit has a shard
 * of its own.
 */
public final class ShardPlan {
    private final List<Shard> shards;
    private final long totalSize;

    private ShardPlan(List<Shard> shards) {
        this.shards = List.copyOf(shards);
        this.totalSize = shards.stream().mapToLong(Shard::dataBytes).reduce(0, Math::addExact);
    }

    /**
     * Describes one file of the plan.
     *
     * @param fileName its name in the output folder
     * @param tensors its tensors in the order of their data
     */
    public record Shard(String fileName, List<TensorSpec> tensors) {
        public Shard {
            tensors = List.copyOf(tensors);
        }

        /** Returns the bytes of the tensors alone. */
        public long dataBytes() {
            return tensors.stream().mapToLong(TensorSpec::bytes).reduce(0, Math::addExact);
        }

        /** Returns the exact bytes of the file. */
        public long fileBytes() {
            return Math.addExact(header().length, dataBytes());
        }

        /** Everything before the data: eight bytes of length, then JSON padded with spaces to a multiple of eight. */
        byte[] header() {
            StringBuilder json = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
            long begin = 0;
            for (TensorSpec tensor : tensors) {
                long end = begin + tensor.bytes();
                json.append(',').append(StrictJson.quoted(tensor.name()));
                json.append(":{\"dtype\":\"").append(tensor.dtype()).append("\",\"shape\":[");
                for (int axis = 0; axis < tensor.shape().rank(); axis++) {
                    json.append(axis == 0 ? "" : ",").append(tensor.shape().dim(axis));
                }
                json.append("],\"data_offsets\":[")
                        .append(begin)
                        .append(',')
                        .append(end)
                        .append("]}");
                begin = end;
            }
            byte[] text = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
            int padded = Math.ceilDiv(text.length, Long.BYTES) * Long.BYTES;
            if (padded > SafetensorsFile.MAX_HEADER_BYTES) {
                throw new IllegalArgumentException(fileName + ": a header of " + padded + " bytes, the format allows "
                        + SafetensorsFile.MAX_HEADER_BYTES + "; choose smaller shards");
            }
            byte[] header = new byte[Long.BYTES + padded];
            Arrays.fill(header, (byte) ' ');
            for (int i = 0; i < Long.BYTES; i++) {
                header[i] = (byte) ((long) padded >>> (8 * i));
            }
            System.arraycopy(text, 0, header, Long.BYTES, text.length);
            return header;
        }
    }

    /**
     * Plans shards whose tensors take at most {@code maxShardBytes}.
     *
     * @throws IllegalArgumentException if a name comes twice, the limit is not positive, or there would be more than
     *     99,999 shards
     */
    public static ShardPlan of(List<TensorSpec> specs, long maxShardBytes) {
        if (maxShardBytes <= 0) {
            throw new IllegalArgumentException("maximum shard size " + maxShardBytes + ", expected at least 1 byte");
        }
        Set<String> names = new HashSet<>();
        List<List<TensorSpec>> groups = new ArrayList<>(List.of(new ArrayList<>()));
        long filled = 0;
        for (TensorSpec spec : specs) {
            if (!names.add(spec.name()) || spec.name().equals("__metadata__")) {
                throw new IllegalArgumentException("tensor name " + spec.name() + " is used twice");
            }
            // Subtraction, as the sum may overflow.
            if (filled > 0 && spec.bytes() > maxShardBytes - filled) {
                groups.add(new ArrayList<>());
                filled = 0;
            }
            groups.getLast().add(spec);
            filled = Math.addExact(filled, spec.bytes());
        }
        int count = groups.size();
        if (count > 99_999) {
            throw new IllegalArgumentException(count + " shards of at most " + maxShardBytes
                    + " bytes, expected at most 99,999; choose larger shards");
        }
        List<Shard> shards = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String name = count == 1 ? "model.safetensors" : "model-%05d-of-%05d.safetensors".formatted(i + 1, count);
            shards.add(new Shard(name, groups.get(i)));
        }
        return new ShardPlan(shards);
    }

    public List<Shard> shards() {
        return shards;
    }

    /** Returns the shards as files to write. */
    public List<PlannedFile> files() {
        return shards.stream().map(PlannedFile::of).toList();
    }

    /** Returns the bytes of all tensors: {@code total_size} of the index. */
    public long totalSize() {
        return totalSize;
    }

    /**
     * Returns the exact bytes of everything that is written: shards with their headers, and the index if there is one.
     */
    public long fileBytes() {
        long bytes = indexBytes().map(index -> (long) index.length).orElse(0L);
        for (Shard shard : shards) {
            bytes = Math.addExact(bytes, shard.fileBytes());
        }
        return bytes;
    }

    /** Returns the index file's bytes; none where a single shard needs no index. */
    public Optional<byte[]> indexBytes() {
        if (shards.size() == 1) {
            return Optional.empty();
        }
        SortedMap<String, String> files = new TreeMap<>();
        for (Shard shard : shards) {
            for (TensorSpec tensor : shard.tensors()) {
                files.put(tensor.name(), shard.fileName());
            }
        }
        StringBuilder json = new StringBuilder("{\n  \"metadata\": {\n    \"total_size\": ")
                .append(totalSize)
                .append("\n  },\n  \"weight_map\": {");
        String separator = "\n";
        for (var entry : files.entrySet()) {
            json.append(separator).append("    ").append(StrictJson.quoted(entry.getKey()));
            json.append(": ").append(StrictJson.quoted(entry.getValue()));
            separator = ",\n";
        }
        return Optional.of(json.append("\n  }\n}\n").toString().getBytes(StandardCharsets.UTF_8));
    }
}
