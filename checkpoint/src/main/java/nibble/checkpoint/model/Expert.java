package nibble.checkpoint.model;

/**
 * Names one of the MLPs of a decoder layer: the only one, a routed expert, or the one that all tokens pass beside the
 * routed ones.
 *
 * @param index of a routed expert, from 0 on; negative for the others
 */
public record Expert(int index) implements Comparable<Expert> {
    /** The MLP of a layer that has but one. A linear of attention belongs to it too. */
    public static final Expert NONE = new Expert(-2);

    /** The expert that every token passes. */
    public static final Expert SHARED = new Expert(-1);

    /** Returns whether a router chooses it. */
    public boolean isRouted() {
        return index >= 0;
    }

    /** Returns whether it is one of several. */
    public boolean isPart() {
        return !equals(NONE);
    }

    @Override
    public int compareTo(Expert other) {
        return Integer.compare(index, other.index);
    }

    /** Returns how a message calls it. */
    @Override
    public String toString() {
        return isRouted() ? "expert " + index : equals(SHARED) ? "shared expert" : "MLP";
    }
}
