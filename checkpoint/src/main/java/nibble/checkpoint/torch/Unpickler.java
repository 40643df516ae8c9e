package nibble.checkpoint.torch;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.torch.PickleValue.Dict;
import nibble.checkpoint.torch.PickleValue.Global;
import nibble.checkpoint.torch.PickleValue.Int;
import nibble.checkpoint.torch.PickleValue.Known;
import nibble.checkpoint.torch.PickleValue.ListValue;
import nibble.checkpoint.torch.PickleValue.Storage;
import nibble.checkpoint.torch.PickleValue.Tensor;
import nibble.checkpoint.torch.PickleValue.Text;
import nibble.checkpoint.torch.PickleValue.Tuple;

/**
 * Reads the pickle of a PyTorch file as data. A pickle is a program for a small stack machine; this machine knows the
 * instructions that {@code torch.save} writes for tensors, and of names only those of {@link Known}. Whatever else the
 * pickle asks for is refused with its name and byte; nothing is ever imported or called.
 *
 * <p>Memory is bounded by the length of the pickle: every instruction makes at most one value.
 */
final class Unpickler {
    private static final PickleValue NONE = new PickleValue.None();

    /** Takes its place on the stack where a group of values begins. */
    private static final PickleValue MARK = new Text("mark");

    private final Path file;
    private final String entry;
    private final ByteBuffer in;
    private final List<PickleValue> stack = new ArrayList<>();
    private final Map<Integer, PickleValue> memo = new HashMap<>();
    private int at;

    private Unpickler(Path file, String entry, ByteBuffer pickle) {
        this.file = file;
        this.entry = entry;
        this.in = pickle.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * The one value that the pickle makes.
     *
     * @param file for messages
     * @param entry for messages: the zip entry that holds the pickle
     * @throws BadCheckpointException if it is damaged or asks for anything but tensors
     */
    static PickleValue read(Path file, String entry, ByteBuffer pickle) {
        return new Unpickler(file, entry, pickle).run();
    }

    private PickleValue run() {
        while (in.hasRemaining()) {
            at = in.position();
            int opcode = in.get() & 0xff;
            if (opcode == '.') {
                PickleValue result = pop();
                if (!stack.isEmpty()) {
                    throw bad("ends with " + stack.size() + " values too many");
                }
                return result;
            }
            execute(opcode);
        }
        throw bad("ends without a STOP instruction");
    }

    private void execute(int opcode) {
        switch (opcode) {
            case 0x80 -> protocol(); // PROTO
            case 0x95 -> take(8); // FRAME: a length that only matters to streams
            case '}' -> push(new Dict());
            case ']' -> push(new ListValue());
            case ')' -> push(new Tuple(List.of()));
            case '(' -> push(MARK);
            case 'N' -> push(NONE);
            case 0x88 -> push(new PickleValue.Bool(true));
            case 0x89 -> push(new PickleValue.Bool(false));
            case 'X' -> push(new Text(text(length(take(4).getInt() & 0xffffffffL)))); // BINUNICODE
            case 0x8c -> push(new Text(text(take(1).get() & 0xff))); // SHORT_BINUNICODE
            case 'J' -> push(new Int(take(4).getInt())); // BININT
            case 'K' -> push(new Int(take(1).get() & 0xff)); // BININT1
            case 'M' -> push(new Int(take(2).getShort() & 0xffff)); // BININT2
            case 0x8a -> push(new Int(longInteger())); // LONG1
            case 'G' ->
                push(new PickleValue.Real(take(8).order(ByteOrder.BIG_ENDIAN).getDouble())); // BINFLOAT
            case 'q' -> memo.put(take(1).get() & 0xff, peek()); // BINPUT
            case 'r' -> memo.put(take(4).getInt(), peek()); // LONG_BINPUT
            case 0x94 -> memo.put(memo.size(), peek()); // MEMOIZE
            case 'h' -> push(remembered(take(1).get() & 0xff)); // BINGET
            case 'j' -> push(remembered(take(4).getInt())); // LONG_BINGET
            case 't' -> push(new Tuple(popToMark()));
            case 0x85, 0x86, 0x87 -> push(new Tuple(pop(opcode - 0x84))); // TUPLE1, TUPLE2, TUPLE3
            case 'c' -> push(global(line(), line())); // GLOBAL
            case 0x93 -> stackGlobal();
            case 'Q' -> push(storage(pop())); // BINPERSID
            case 'R' -> reduce();
            case 'b' -> build();
            case 's' -> setItems(pop(2));
            case 'u' -> setItems(popToMark());
            case 'a' -> append(pop(1));
            case 'e' -> append(popToMark());
            default ->
                throw bad(
                        "instruction 0x%02x is not one that torch.save writes for tensors; rejected".formatted(opcode));
        }
    }

    private void protocol() {
        int version = take(1).get() & 0xff;
        if (version < 2 || version > 5) {
            throw bad("pickle protocol " + version + ", expected 2 to 5");
        }
    }

    /** The name on the list, or the refusal. */
    private PickleValue global(String module, String name) {
        Known known = Known.named(module + "." + name);
        if (known == null) {
            throw bad("the pickle refers to " + printable(module) + "." + printable(name)
                    + ", which is not needed for tensors; rejected. Nothing was executed. Do not open this file with"
                    + " other programs unless you trust its source");
        }
        return new Global(known);
    }

    private void stackGlobal() {
        List<PickleValue> names = pop(2);
        if (names.get(0) instanceof Text(String module) && names.get(1) instanceof Text(String name)) {
            push(global(module, name));
        } else {
            throw bad("STACK_GLOBAL without two texts");
        }
    }

    /** ('storage', torch.HalfStorage, '0', 'cpu', elements) */
    private PickleValue storage(PickleValue id) {
        if (id instanceof Tuple tuple
                && tuple.items.size() == 5
                && tuple.items.get(0) instanceof Text(String what)
                && what.equals("storage")
                && tuple.items.get(1) instanceof Global(Known type)
                && tuple.items.get(2) instanceof Text(String key)
                && tuple.items.get(4) instanceof Int(long elements)) {
            DType dtype = type.storage;
            if (dtype != null && elements >= 0) {
                return new Storage(dtype, key, elements);
            }
        }
        throw bad("a persistent id that is not (\"storage\", type, key, device, elements)");
    }

    private void reduce() {
        List<PickleValue> call = pop(2);
        if (!(call.get(0) instanceof Global(Known known)) || !(call.get(1) instanceof Tuple arguments)) {
            throw bad("REDUCE of something that is not a known name and a tuple");
        }
        List<PickleValue> given = arguments.items;
        switch (known) {
            case ORDERED_DICT -> push(orderedDict(given));
            case REBUILD_TENSOR -> push(tensor(given));
            case REBUILD_PARAMETER -> {
                if (given.isEmpty() || !(given.getFirst() instanceof Tensor tensor)) {
                    throw bad("_rebuild_parameter without a tensor");
                }
                push(tensor);
            }
            case SIZE -> {
                if (given.size() != 1 || !(given.getFirst() instanceof Tuple size)) {
                    throw bad("torch.Size without a tuple");
                }
                push(size);
            }
            case DOUBLE, FLOAT, HALF, BFLOAT16, LONG, INT, SHORT, CHAR, BYTE, BOOL ->
                throw bad("the pickle calls " + known.name + ", which only names a type; rejected");
        }
    }

    private PickleValue orderedDict(List<PickleValue> given) {
        Dict dict = new Dict();
        if (!given.isEmpty()) {
            if (given.size() != 1 || !(given.getFirst() instanceof ListValue pairs)) {
                throw bad("OrderedDict with arguments that are not one list");
            }
            for (PickleValue pair : pairs.items) {
                List<PickleValue> two = switch (pair) {
                    case Tuple tuple -> tuple.items;
                    case ListValue list -> list.items;
                    default -> List.of();
                };
                if (two.size() != 2) {
                    throw bad("OrderedDict of something that is not pairs");
                }
                put(dict, two.get(0), two.get(1));
            }
        }
        return dict;
    }

    /** (storage, offset, size, stride, requires_grad, hooks[, metadata]) */
    private Tensor tensor(List<PickleValue> given) {
        if (given.size() >= 4
                && given.get(0) instanceof Storage storage
                && given.get(1) instanceof Int(long offset)
                && given.get(2) instanceof Tuple size
                && given.get(3) instanceof Tuple stride
                && size.items.size() == stride.items.size()) {
            return new Tensor(storage, offset, extents(size), extents(stride));
        }
        throw bad("_rebuild_tensor_v2 without storage, offset, size and stride");
    }

    private List<Long> extents(Tuple tuple) {
        List<Long> extents = new ArrayList<>();
        for (PickleValue item : tuple.items) {
            if (!(item instanceof Int(long extent)) || extent < 0) {
                throw bad("a tensor's size or stride is not a whole number of at least 0");
            }
            extents.add(extent);
        }
        return List.copyOf(extents);
    }

    /** State of an OrderedDict is its {@code _metadata}, which holds module versions: not needed. */
    private void build() {
        pop();
        if (!(peek() instanceof Dict)) {
            throw bad("BUILD gives state to something that is not a dict; rejected");
        }
    }

    private void setItems(List<PickleValue> pairs) {
        if (!(peek() instanceof Dict dict) || pairs.size() % 2 != 0) {
            throw bad("SETITEMS without a dict and pairs");
        }
        for (int i = 0; i < pairs.size(); i += 2) {
            put(dict, pairs.get(i), pairs.get(i + 1));
        }
    }

    private void put(Dict dict, PickleValue key, PickleValue value) {
        switch (key) {
            case Text(String text) -> {
                if (dict.byText.put(text, value) != null) {
                    throw bad("key \"" + printable(text) + "\" comes twice in one dict");
                }
            }
            case Int(long number) -> dict.byInt.put(number, value);
            default -> throw bad("a dict key that is neither a text nor a whole number");
        }
    }

    private void append(List<PickleValue> items) {
        if (!(peek() instanceof ListValue list)) {
            throw bad("APPEND to something that is not a list");
        }
        list.items.addAll(items);
    }

    private PickleValue remembered(int slot) {
        PickleValue value = memo.get(slot);
        if (value == null) {
            throw bad("memo slot " + Integer.toUnsignedString(slot) + " is empty");
        }
        return value;
    }

    private void push(PickleValue value) {
        stack.add(value);
    }

    private PickleValue peek() {
        if (stack.isEmpty() || stack.getLast() == MARK) {
            throw bad("the stack is empty");
        }
        return stack.getLast();
    }

    private PickleValue pop() {
        PickleValue value = peek();
        stack.removeLast();
        return value;
    }

    private List<PickleValue> pop(int count) {
        List<PickleValue> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            values.addFirst(pop());
        }
        return values;
    }

    private List<PickleValue> popToMark() {
        for (int i = stack.size() - 1; i >= 0; i--) {
            if (stack.get(i) == MARK) {
                List<PickleValue> tail = stack.subList(i + 1, stack.size());
                List<PickleValue> values = List.copyOf(tail);
                tail.clear();
                stack.removeLast();
                return values;
            }
        }
        throw bad("no mark on the stack");
    }

    /** The next {@code bytes}, as a buffer of their own. */
    private ByteBuffer take(int bytes) {
        if (in.remaining() < bytes) {
            throw bad("the pickle was cut short");
        }
        ByteBuffer slice = in.slice(in.position(), bytes).order(ByteOrder.LITTLE_ENDIAN);
        in.position(in.position() + bytes);
        return slice;
    }

    private int length(long bytes) {
        if (bytes > in.remaining()) {
            throw bad("a text of " + bytes + " bytes, only " + in.remaining() + " follow");
        }
        return (int) bytes;
    }

    private String text(int bytes) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(take(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw bad("a text that is not valid UTF-8");
        }
    }

    private String line() {
        int start = in.position();
        for (int end = start; end < in.limit(); end++) {
            if (in.get(end) == '\n') {
                String line = text(end - start);
                in.get();
                return line;
            }
        }
        throw bad("a name without an end");
    }

    private long longInteger() {
        int bytes = take(1).get() & 0xff;
        if (bytes > 8) {
            throw bad("a whole number of " + bytes + " bytes, at most 8 fit any size");
        }
        ByteBuffer digits = take(bytes);
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            value |= (digits.get(i) & 0xffL) << (8 * i);
        }
        return bytes == 0 ? 0 : value << (64 - 8 * bytes) >> (64 - 8 * bytes);
    }

    /** A name from the file, fit for a terminal. */
    private static String printable(String text) {
        String cut = text.length() > 80 ? text.substring(0, 80) + "..." : text;
        return cut.replaceAll("\\p{Cntrl}", "?");
    }

    private BadCheckpointException bad(String what) {
        return new BadCheckpointException(file, entry + " byte " + at + ": " + what);
    }
}
