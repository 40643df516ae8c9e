package nibble.engine.cuda.gradient;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.PinnedMemory;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Keeps codes of some layers in device memory, those of the others in pinned memory of the host, from where they share
 * two places on the card: one in use, the next on its way. Owns all of it.
 */
final class CudaCodeStore implements CodeStore {
    /** Holds one layer on the card after another. */
    private static final class Place {
        final CudaStream.Event filled = new CudaStream.Event();
        final CudaStream.Event used = new CudaStream.Event();
        DeviceMemory.@Nullable Buffer buffer;
        int index = -1;
    }

    /** Describes a linear of a layer: its shape, where it begins, and its bytes if they do not stay on the card. */
    private record Part(
            CudaCodes shape, long offset, @Nullable PinnedMemory pinned) {}

    /** @param resident null where it is on the card only while it is used */
    private record Layer(Map<Linear, Part> parts, long bytes, DeviceMemory.@Nullable Buffer resident) {}

    private final TuneCard card;
    private final int resident;
    private final List<Layer> layers = new ArrayList<>();
    private final List<Place> places = List.of(new Place(), new Place());
    private final CudaStream copies = new CudaStream();
    private @Nullable Place last;

    CudaCodeStore(TuneCard card, int resident) {
        this.card = card;
        this.resident = resident;
    }

    @Override
    public void add(Map<Linear, QuantizedLinear> layer) {
        long bytes = layer.values().stream().mapToLong(CudaCodes::bytes).sum();
        boolean stays = layers.size() < resident;
        DeviceMemory.Buffer buffer = stays ? card.allocate(bytes, "codes of a layer") : null;
        Map<Linear, Part> parts = new EnumMap<>(Linear.class);
        // In the list first, so that close() finds what follows.
        layers.add(new Layer(parts, bytes, buffer));
        long offset = 0;
        for (Map.Entry<Linear, QuantizedLinear> entry : layer.entrySet()) {
            QuantizedLinear linear = entry.getValue();
            MemorySegment codes = MemorySegment.ofArray(linear.codes());
            MemorySegment zeros = MemorySegment.ofArray(linear.zeros());
            long codeBytes = CudaCodes.codeBytes(linear.outFeatures(), linear.inFeatures(), linear.codesPerByte());
            PinnedMemory pinned = null;
            if (buffer == null) {
                pinned = new PinnedMemory(Math.toIntExact(CudaCodes.bytes(linear)));
                pinned.segment().asSlice(0, codes.byteSize()).copyFrom(codes);
                pinned.segment().asSlice(codeBytes, zeros.byteSize()).copyFrom(zeros);
            } else {
                card.card.transfers().bring(codes, buffer, offset);
                card.card.transfers().bring(zeros, buffer, offset + codeBytes);
            }
            parts.put(entry.getKey(), new Part(CudaCodes.at(card, linear, 0), offset, pinned));
            offset += CudaCodes.bytes(linear);
        }
    }

    @Override
    public Map<Linear, PlacedCodes> layer(int index, int next) {
        if (last != null) {
            card.card.stream().record(last.used);
            last = null;
        }
        Layer layer = layers.get(index);
        DeviceMemory.Buffer from = layer.resident;
        if (from == null) {
            Place place = bring(index, null);
            card.card.stream().waitFor(place.filled);
            last = place;
            from = place.buffer;
        }
        if (layers.get(next).resident == null) {
            bring(next, last);
        }
        if (from == null) {
            throw new IllegalStateException("codes without memory");
        }
        return placed(layer, from.address());
    }

    private static Map<Linear, PlacedCodes> placed(Layer layer, long address) {
        Map<Linear, PlacedCodes> codes = new EnumMap<>(Linear.class);
        layer.parts.forEach((linear, part) -> {
            CudaCodes shape = part.shape;
            long at = address + part.offset;
            codes.put(
                    linear,
                    new CudaCodes(
                            shape.card(),
                            shape.outFeatures(),
                            shape.inFeatures(),
                            shape.groups(),
                            shape.bits(),
                            at + shape.codes(),
                            at + shape.zeros()));
        });
        return codes;
    }

    /** @param inUse the place that must stay as it is */
    private Place bring(int index, @Nullable Place inUse) {
        for (Place place : places) {
            if (place.index == index) {
                return place;
            }
        }
        Place place = places.getFirst() == inUse ? places.getLast() : places.getFirst();
        Layer layer = layers.get(index);
        DeviceMemory.Buffer buffer = place.buffer;
        if (buffer == null || buffer.bytes() < layer.bytes) {
            // The copies' stream must not overtake what used this memory before.
            card.card.stream().synchronize();
            copies.synchronize();
            if (buffer != null) {
                buffer.close();
            }
            buffer = card.allocate(layer.bytes, "codes of a layer");
            place.buffer = buffer;
        }
        place.index = index;
        copies.waitFor(place.used);
        for (Part part : layer.parts.values()) {
            if (part.pinned != null) {
                part.pinned.toDevice(buffer, part.offset, part.pinned.bytes(), copies);
            }
        }
        copies.record(place.filled);
        return place;
    }

    @Override
    public void close() {
        card.card.synchronize();
        for (Place place : places) {
            if (place.buffer != null) {
                place.buffer.close();
            }
            place.filled.close();
            place.used.close();
        }
        for (Layer layer : layers) {
            if (layer.resident != null) {
                layer.resident.close();
            }
            layer.parts.values().forEach(part -> {
                if (part.pinned != null) {
                    part.pinned.close();
                }
            });
        }
        layers.clear();
        copies.close();
    }
}
