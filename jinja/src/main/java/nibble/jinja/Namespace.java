package nibble.jinja;

import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyObject;
import nibble.jinja.python.Repr;
import org.jspecify.annotations.Nullable;

/** The one object whose attributes a template may set. */
final class Namespace implements PyObject {
    private final PyDict attributes;

    Namespace(PyDict attributes) {
        this.attributes = attributes;
    }

    void set(String name, Object value) {
        attributes.put(name, value);
    }

    @Override
    public @Nullable Object attribute(String name) {
        return attributes.get(name);
    }

    @Override
    public String text() {
        return "<Namespace " + Repr.repr(attributes) + ">";
    }

    @Override
    public String typeName() {
        return "Namespace";
    }
}
