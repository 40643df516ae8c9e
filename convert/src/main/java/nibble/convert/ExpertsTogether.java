package nibble.convert;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.convert.ConversionReport.Underflow;
import nibble.convert.ConversionRun.Item;
import nibble.convert.ConversionRun.Sink;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.pack.Words;

/**
 * Brings the experts of a layer into one tensor, transposed, where the class has them so in 16 bits: Llama 4 and
 * gpt-oss. One expert is in memory at a time.
 */
final class ExpertsTogether {
    /** Elements of a tile's side: two tiles stay in a core's first cache. */
    private static final int TILE = 64;

    /**
     * One tensor of a class whose files have a tensor for each expert.
     *
     * @param columns where its rows come
     * @param in columns of its rows: 1 for a bias
     */
    private record Member(Item item, TensorSpec spec, Experts.Columns columns, int in) {}

    /** The place of a tensor of an expert. */
    private record Place(String together, Experts.Columns columns, int in) {}

    private final Checkpoint source;
    private final Map<String, Place> places = new HashMap<>();
    private final StopSignal stop;

    private ExpertsTogether(Checkpoint source, StopSignal stop) {
        this.source = source;
        this.stop = stop;
    }

    /**
     * Returns the items with those of experts joined, each where its first one was; the items themselves where the
     * class has a tensor for each expert.
     *
     * @param made the tensors of an item, by the first one's name; gets those of the joined ones
     * @throws BadCheckpointException if experts of one tensor would be of different types
     */
    static List<Item> join(Checkpoint source, List<Item> items, Map<String, List<TensorSpec>> made, StopSignal stop) {
        Optional<Experts> experts =
                source.config().experts().filter(found -> found.names().areTransposed());
        if (experts.isEmpty()) {
            return items;
        }
        ExpertsTogether joined = new ExpertsTogether(source, stop);
        joined.place(experts.get());
        SequencedMap<String, List<Member>> members = new LinkedHashMap<>();
        SequencedMap<String, Item> result = new LinkedHashMap<>();
        for (Item item : items) {
            String name = item.outputs().getFirst();
            Place place = joined.places.get(name);
            if (place == null) {
                result.put(name, item);
                continue;
            }
            TensorSpec spec = made.getOrDefault(name, List.of()).getFirst();
            result.putIfAbsent(place.together(), item);
            members.computeIfAbsent(place.together(), _ -> new ArrayList<>())
                    .add(new Member(item, spec, place.columns(), place.in()));
        }
        members.forEach((name, parts) -> {
            TensorSpec spec = joined.spec(name, parts, experts.get().count());
            made.put(name, List.of(spec));
            result.put(name, joined.item(spec, parts));
        });
        return List.copyOf(result.values());
    }

    private void place(Experts experts) {
        ModelConfig config = source.config();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (int index = 0; experts.in(layer) && index < experts.count(); index++) {
                for (Linear linear : List.of(Linear.GATE, Linear.UP, Linear.DOWN)) {
                    Expert expert = new Expert(index);
                    String together = experts.together(linear, layer);
                    String weight = config.stored(linear, expert, layer).weight();
                    int rows = config.outFeatures(linear, expert);
                    int in = config.stored(linear, expert, layer).inFeatures();
                    Experts.Columns columns = experts.columns(linear, rows);
                    places.put(weight, new Place(together, columns, in));
                    config.bias(new LayerLinear(linear, expert), layer)
                            .ifPresent(bias -> places.put(bias.name(), new Place(together + "_bias", columns, 1)));
                }
            }
        }
    }

    private TensorSpec spec(String name, List<Member> members, int experts) {
        Member first = members.getFirst();
        DType type = first.spec().dtype();
        for (Member member : members) {
            if (member.spec().dtype() != type) {
                throw new BadCheckpointException(
                        source.folder(),
                        "tensor " + member.spec().name() + " is "
                                + member.spec().dtype() + " and "
                                + first.spec().name() + " is " + type
                                + ", but loaders look for the experts of a layer in one tensor; give a type for all"
                                + " (--type)");
            }
        }
        int all = first.columns().all();
        boolean bias = first.spec().shape().rank() == 1;
        return new TensorSpec(name, type, bias ? Shape.of(experts, all) : Shape.of(experts, first.in(), all));
    }

    private Item item(TensorSpec spec, List<Member> members) {
        List<String> sources = members.stream()
                .flatMap(member -> member.item().sources().stream())
                .toList();
        long inputBytes =
                members.stream().mapToLong(member -> member.item().inputBytes()).sum();
        return new Item(List.of(spec.name()), sources, inputBytes, to -> write(spec, members, to));
    }

    /** Members are in order of their experts, as the elements of the tensor are. */
    private List<Underflow> write(TensorSpec spec, List<Member> members, Sink to) {
        List<Underflow> lost = new ArrayList<>();
        long bytes = spec.bytes() / spec.shape().dim(0);
        long missing = bytes;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment expert = arena.allocate(bytes, 64);
            for (Member member : members) {
                if (stop.raised()) {
                    throw new StoppedException("interrupted");
                }
                long[] done = {0};
                lost.addAll(member.item().body().write((_, part) -> {
                    scatter(part, done[0], member, expert);
                    done[0] += part.byteSize();
                }));
                missing -= done[0];
                if (missing == 0) {
                    to.write(spec.name(), expert);
                    missing = bytes;
                }
            }
        }
        return lost;
    }

    /** Copies rows of a member, of which {@code from} bytes were copied before, into columns of the expert. */
    private static void scatter(MemorySegment part, long from, Member member, MemorySegment expert) {
        int size = member.spec().dtype().bytes();
        int in = member.in();
        Experts.Columns columns = member.columns();
        long first = from / size / in;
        long count = part.byteSize() / size / in;
        for (long top = 0; top < count; top += TILE) {
            for (int left = 0; left < in; left += TILE) {
                int right = Math.min(in, left + TILE);
                for (long row = top; row < Math.min(count, top + TILE); row++) {
                    long place = columns.step() * (first + row) + columns.first();
                    for (int column = left; column < right; column++) {
                        long source = (row * in + column) * size;
                        long target = ((long) column * columns.all() + place) * size;
                        if (size == Short.BYTES) {
                            expert.set(Words.SHORT, target, part.get(Words.SHORT, source));
                        } else {
                            expert.set(Words.INT, target, part.get(Words.INT, source));
                        }
                    }
                }
            }
        }
    }
}
