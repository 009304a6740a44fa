package raysweep;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.reflect.Array;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The wire format (raysweep/execution/compiled/outside.py). Both processes have this class; it uses neither lambdas nor
 * joined strings, which would make a JVM start slowly.
 *
 * Kinds of lists: a ArrayList, f of fixed size (Arrays.asList), k LinkedList, i immutable. Of sets and maps: h hashed,
 * l hashed in order, t sorted in their natural order, i immutable.
 *
 * Objects of a call are counted in the order in which they were written: texts, containers and boxed numbers that
 * aren't shared. An answer names them by their number, so that a result that is an argument is the same object.
 */
final class Wire {
    static final int MOST_BYTES = 1 << 23;
    static final int MOST_LEVELS = 100;
    static final int NONCE = 16;
    static final int READY = '!';
    private static final int MOST_DIMENSIONS = 8;
    /** What arrays may hold, by the byte that names it: the primitive types first. */
    private static final Class<?>[] BASES = {
        boolean.class, byte.class, short.class, char.class, int.class, long.class, float.class, double.class,
        Boolean.class, Byte.class, Short.class, Character.class, Integer.class, Long.class, Float.class, Double.class,
        String.class, Object.class, Number.class, List.class, ArrayList.class, Set.class, Map.class
    };
    /** Bytes of an item of each primitive type. */
    private static final int[] SIZES = {1, 1, 2, 2, 4, 8, 4, 8};

    private Wire() {}

    /** What was read isn't in the format. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;
    }

    /** A message has more than MOST_BYTES. */
    static final class TooLarge extends Exception {
        private static final long serialVersionUID = 1;
    }

    /** A value that the format doesn't know. */
    static final class Unsendable extends Exception {
        private static final long serialVersionUID = 1;
        final boolean isAnswers; // whether a candidate's answers may have led to it

        Unsendable(String what, boolean isAnswers) {
            super(what);
            this.isAnswers = isAnswers;
        }
    }

    /** An object of the candidate's process that can't be sent. */
    static final class Opaque {
        final String type;

        Opaque(String type) {
            this.type = type;
        }

        @Override
        public String toString() {
            return type;
        }
    }

    static byte[] receive(DataInputStream in) throws IOException, Malformed {
        int size = in.readInt();
        if (size < 1 || size > MOST_BYTES) {
            throw new Malformed();
        }
        byte[] bytes = new byte[size];
        in.readFully(bytes);
        return bytes;
    }

    static void send(OutputStream out, byte[] bytes, int size) throws IOException {
        out.write(frame(bytes, size));
        out.flush();
    }

    /** Return the frame of a message, which is the beginning of some bytes. */
    static byte[] frame(byte[] bytes, int size) {
        byte[] frame = new byte[4 + size];
        for (int i = 0; i < 4; i++) {
            frame[i] = (byte) (size >> 24 - 8 * i);
        }
        System.arraycopy(bytes, 0, frame, 4, size);
        return frame;
    }

    /** Whether a boxed value is one that `valueOf` keeps: equal ones are the same object, and aren't counted. */
    private static boolean isShared(Object value) {
        if (value instanceof Integer || value instanceof Long || value instanceof Short) {
            long number = ((Number) value).longValue();
            return -128 <= number && number <= 127;
        }
        return value instanceof Boolean || value instanceof Byte
                || (value instanceof Character && (Character) value <= 127);
    }

    private static boolean isInterned(String text) {
        return new String(text).intern() == text; // doesn't intern `text` itself
    }

    private static boolean isImmutable(Object value) {
        String name = value.getClass().getName();
        return name.startsWith("java.util.ImmutableCollections$")
                || name.startsWith("java.util.Collections$Unmodifiable")
                || name.startsWith("java.util.Collections$Empty")
                || name.startsWith("java.util.Collections$Singleton");
    }

    /** Writes a message. */
    static final class Writer {
        byte[] bytes = new byte[256];
        int size = 0;
        private final IdentityHashMap<Object, Integer> numbers;
        private final boolean isCall;

        /** `objects`: those of the call that this answers; null for a call, whose objects are counted here. */
        Writer(List<Object> objects) {
            isCall = objects == null;
            numbers = new IdentityHashMap<>();
            for (int i = 0; !isCall && i < objects.size(); i++) {
                numbers.put(objects.get(i), i);
            }
        }

        /** Return the objects of a call in the order of their numbers. */
        Object[] objects() {
            Object[] found = new Object[numbers.size()];
            for (Map.Entry<Object, Integer> entry : numbers.entrySet()) {
                found[entry.getValue()] = entry.getKey();
            }
            return found;
        }

        /** Return the number of an object of the call. */
        int number(Object object) {
            return numbers.get(object);
        }

        void one(int value) throws TooLarge {
            if (size >= MOST_BYTES) {
                throw new TooLarge();
            }
            if (size == bytes.length) {
                bytes = Arrays.copyOf(bytes, 2 * size);
            }
            bytes[size++] = (byte) value;
        }

        void number(long value, int count) throws TooLarge {
            for (int shift = 8 * (count - 1); shift >= 0; shift -= 8) {
                one((int) (value >> shift));
            }
        }

        void raw(byte[] data, int start, int end) throws TooLarge {
            for (int i = start; i < end; i++) {
                one(data[i]);
            }
        }

        /** Writes the name of a class or a message. */
        void name(String text) throws TooLarge {
            byte[] data = text.getBytes(StandardCharsets.UTF_8);
            number(data.length, 4);
            raw(data, 0, data.length);
        }

        void value(Object value, int level) throws TooLarge, Unsendable {
            if (value == null) {
                one('n');
                return;
            }
            if (level > MOST_LEVELS) {
                throw new Unsendable("a value that is nested too deeply", true);
            }
            if (!isShared(value)) {
                Integer number = numbers.get(value);
                if (number != null) {
                    one('R');
                    number(number, 4);
                    return;
                }
                if (isCall) {
                    numbers.put(value, numbers.size());
                }
            }
            if (!scalar(value) && !container(value, level)) {
                if (isCall) {
                    throw new Unsendable(value.getClass().getName(), value instanceof Opaque);
                }
                one('x');
                name(value.getClass().getName());
            }
        }

        /** Writes what a container holds now, although it is an object of the call. */
        void contents(Object value) throws TooLarge, Unsendable {
            if (!container(value, 0)) {
                throw new Unsendable(value.getClass().getName(), true);
            }
        }

        private boolean scalar(Object value) throws TooLarge {
            if (value instanceof Boolean) {
                one((Boolean) value ? 't' : 'f');
            } else if (value instanceof Integer) {
                one('i');
                number((Integer) value, 4);
            } else if (value instanceof Double) {
                one('d');
                number(Double.doubleToRawLongBits((Double) value), 8);
            } else if (value instanceof String) {
                String text = (String) value;
                one(isInterned(text) ? 'U' : 'u');
                number(text.length(), 4);
                for (int i = 0; i < text.length(); i++) {
                    number(text.charAt(i), 2);
                }
            } else if (value instanceof Long) {
                one('l');
                number((Long) value, 8);
            } else if (value instanceof Character) {
                one('c');
                number((Character) value, 2);
            } else if (value instanceof Float) {
                one('g');
                number(Float.floatToRawIntBits((Float) value), 4);
            } else if (value instanceof Short) {
                one('h');
                number((Short) value, 4);
            } else if (value instanceof Byte) {
                one('b');
                number((Byte) value, 4);
            } else {
                return false;
            }
            return true;
        }

        private boolean container(Object value, int level) throws TooLarge, Unsendable {
            if (value instanceof List || value instanceof Set) {
                Object[] items = ((Collection<?>) value).toArray();
                one(value instanceof List ? 'L' : 'S');
                one(value instanceof List ? kindOfList(value) : kindOfSet(value));
                number(items.length, 4);
                for (Object item : items) {
                    value(item, level + 1);
                }
            } else if (value instanceof Map) {
                Map<?, ?> map = (Map<?, ?>) value;
                one('M');
                one(kindOfMap(map));
                number(map.size(), 4);
                int count = 0;
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    value(entry.getKey(), level + 1);
                    value(entry.getValue(), level + 1);
                    count++;
                }
                if (count != map.size()) {
                    throw new Unsendable("a map that doesn't have the size that it says", true);
                }
            } else if (value instanceof Optional) {
                Optional<?> optional = (Optional<?>) value;
                one(optional.isPresent() ? 'O' : 'o');
                if (optional.isPresent()) {
                    value(optional.get(), level + 1);
                }
            } else {
                return value.getClass().isArray() && array(value, level);
            }
            return true;
        }

        private boolean array(Object value, int level) throws TooLarge, Unsendable {
            int dimensions = 0;
            Class<?> base = value.getClass();
            while (base.isArray()) {
                base = base.getComponentType();
                dimensions++;
            }
            int index = 0;
            while (index < BASES.length && BASES[index] != base) {
                index++;
            }
            if (index == BASES.length || dimensions > MOST_DIMENSIONS) {
                return false;
            }
            int length = Array.getLength(value);
            one('Y');
            one(dimensions);
            one(index);
            number(length, 4);
            for (int i = 0; i < length; i++) {
                if (dimensions == 1 && base.isPrimitive()) {
                    number(bits(Array.get(value, i)), SIZES[index]);
                } else {
                    value(Array.get(value, i), level + 1);
                }
            }
            return true;
        }

        /** Return a boxed primitive value as a number. */
        private static long bits(Object item) {
            if (item instanceof Boolean) {
                return (Boolean) item ? 1 : 0;
            }
            if (item instanceof Character) {
                return (Character) item;
            }
            if (item instanceof Double) {
                return Double.doubleToRawLongBits((Double) item);
            }
            if (item instanceof Float) {
                return Float.floatToRawIntBits((Float) item);
            }
            return ((Number) item).longValue();
        }

        private static char kindOfList(Object value) {
            if (value instanceof LinkedList) {
                return 'k';
            }
            if (value.getClass().getName().equals("java.util.Arrays$ArrayList")) {
                return 'f';
            }
            return isImmutable(value) ? 'i' : 'a';
        }

        private static char kindOfSet(Object value) {
            if (value.getClass() == HashSet.class) {
                return 'h';
            }
            if (value instanceof TreeSet && ((TreeSet<?>) value).comparator() == null) {
                return 't';
            }
            return isImmutable(value) ? 'i' : 'l';
        }

        private static char kindOfMap(Map<?, ?> value) {
            if (value.getClass() == HashMap.class) {
                return 'h';
            }
            if (value instanceof TreeMap && ((TreeMap<?, ?>) value).comparator() == null) {
                return 't';
            }
            return isImmutable(value) ? 'i' : 'l';
        }
    }

    /** Reads a message, maybe of an untrusted process: it loads no class and makes room for no more than has arrived. */
    static final class Reader {
        private final byte[] bytes;
        private int at;
        private final List<Object> objects;
        private final boolean isCall;

        /** `objects`: those of the call that this answers; an empty list for a call, to which they are added. */
        Reader(byte[] bytes, int start, List<Object> objects, boolean isCall) {
            this.bytes = bytes;
            this.at = start;
            this.objects = objects;
            this.isCall = isCall;
        }

        int one() throws Malformed {
            if (at >= bytes.length) {
                throw new Malformed();
            }
            return bytes[at++] & 255;
        }

        long number(int count) throws Malformed {
            long value = 0;
            for (int i = 0; i < count; i++) {
                value = value << 8 | one();
            }
            return value;
        }

        /** Reads how many items follow that have at least so many bytes each. */
        private int count(int least) throws Malformed {
            long value = number(4);
            if (value * least > bytes.length - at) {
                throw new Malformed();
            }
            return (int) value;
        }

        String name() throws Malformed {
            int size = count(1);
            at += size;
            return new String(bytes, at - size, size, StandardCharsets.UTF_8);
        }

        Object object() throws Malformed {
            long number = number(4);
            if (number >= objects.size() || objects.get((int) number) == null) {
                throw new Malformed();
            }
            return objects.get((int) number);
        }

        void end() throws Malformed {
            if (at != bytes.length) {
                throw new Malformed();
            }
        }

        Object value(int level) throws Malformed {
            if (level > MOST_LEVELS) {
                throw new Malformed();
            }
            int tag = one();
            switch (tag) {
                case 'n':
                    return null;
                case 't':
                    return Boolean.TRUE;
                case 'f':
                    return Boolean.FALSE;
                case 'i':
                    return counted(Integer.valueOf((int) number(4)));
                case 'l':
                    return counted(Long.valueOf(number(8)));
                case 'd':
                    return counted(Double.valueOf(Double.longBitsToDouble(number(8))));
                case 'g':
                    return counted(Float.valueOf(Float.intBitsToFloat((int) number(4))));
                case 'c':
                    return counted(Character.valueOf((char) number(2)));
                case 'h':
                    return counted(Short.valueOf((short) number(4)));
                case 'b':
                    return Byte.valueOf((byte) number(4));
                case 'u':
                    return counted(text());
                case 'U':
                    return counted(text().intern());
                case 'R':
                    return object();
                case 'o':
                    return counted(Optional.empty());
                case 'x':
                    return new Opaque(name());
                default:
                    return container(tag, level);
            }
        }

        private Object counted(Object value) {
            if (isCall && !isShared(value)) {
                objects.add(value);
            }
            return value;
        }

        private String text() throws Malformed {
            char[] units = new char[count(2)];
            for (int i = 0; i < units.length; i++) {
                units[i] = (char) number(2);
            }
            return new String(units);
        }

        private Object container(int tag, int level) throws Malformed {
            int number = objects.size();
            if (isCall) {
                objects.add(null); // a container is counted before its items
            }
            Object found;
            if (tag == 'O') {
                found = Optional.of(present(value(level + 1)));
            } else if (tag == 'L') {
                found = list(one(), number, level);
            } else if (tag == 'S') {
                found = set(one(), number, level);
            } else if (tag == 'M') {
                found = map(one(), number, level);
            } else if (tag == 'Y') {
                found = array(number, level);
            } else {
                throw new Malformed();
            }
            if (isCall) {
                objects.set(number, found);
            }
            return found;
        }

        private Object array(int number, int level) throws Malformed {
            int dimensions = one();
            int index = one();
            if (dimensions < 1 || dimensions > MOST_DIMENSIONS || index >= BASES.length) {
                throw new Malformed();
            }
            boolean isRaw = dimensions == 1 && index < SIZES.length;
            int length = count(isRaw ? SIZES[index] : 1);
            Class<?> items = BASES[index];
            for (int i = 1; i < dimensions; i++) {
                items = Array.newInstance(items, 0).getClass();
            }
            if (isRaw || isCall) {
                return filled(Array.newInstance(items, length), number, isRaw ? index : -1, level);
            }
            List<Object> arrived = new ArrayList<>(); // many nested arrays would take more than has arrived
            for (int i = 0; i < length; i++) {
                arrived.add(value(level + 1));
            }
            Object found = Array.newInstance(items, length);
            for (int i = 0; i < length; i++) {
                set(found, i, arrived.get(i));
            }
            return found;
        }

        /** Reads the items of an array; `raw`: their primitive type, or -1. */
        private Object filled(Object array, int number, int raw, int level) throws Malformed {
            begin(number, array);
            for (int i = 0; i < Array.getLength(array); i++) {
                set(array, i, raw < 0 ? value(level + 1) : boxed(raw, number(SIZES[raw])));
            }
            return array;
        }

        private static void set(Object array, int i, Object item) throws Malformed {
            try {
                Array.set(array, i, item);
            } catch (IllegalArgumentException e) { // an item of another type
                throw new Malformed();
            }
        }

        private static Object boxed(int index, long bits) throws Malformed {
            switch (index) {
                case 0:
                    return bits != 0;
                case 1:
                    return (byte) bits;
                case 2:
                    return (short) bits;
                case 3:
                    return (char) bits;
                case 4:
                    return (int) bits;
                case 5:
                    return bits;
                case 6:
                    return Float.intBitsToFloat((int) bits);
                case 7:
                    return Double.longBitsToDouble(bits);
                default:
                    throw new Malformed();
            }
        }

        private static Object present(Object value) throws Malformed {
            if (value == null) {
                throw new Malformed();
            }
            return value;
        }

        /** Notes a container before its items are read, one of which may be itself. */
        private void begin(int number, Object container) {
            if (isCall) {
                objects.set(number, container);
            }
        }

        private List<Object> list(int kind, int number, int level) throws Malformed {
            int count = count(1);
            if (kind == 'f' && isCall) { // of the tests' process: many nested ones would take more than has arrived
                Object[] items = new Object[count];
                List<Object> fixed = Arrays.asList(items);
                begin(number, fixed);
                for (int i = 0; i < count; i++) {
                    items[i] = value(level + 1);
                }
                return fixed;
            }
            List<Object> items = kind == 'k' ? new LinkedList<>() : new ArrayList<>();
            if (kind != 'i') {
                begin(number, items);
            }
            for (int i = 0; i < count; i++) {
                items.add(value(level + 1));
            }
            if (kind == 'f') {
                return Arrays.asList(items.toArray());
            }
            if (kind == 'i') {
                return items.contains(null) ? Collections.unmodifiableList(items) : List.copyOf(items);
            }
            if (kind != 'a' && kind != 'k') {
                throw new Malformed();
            }
            return items;
        }

        private Set<Object> set(int kind, int number, int level) throws Malformed {
            Set<Object> items = kind == 'h' ? new HashSet<>() : kind == 't' ? new TreeSet<>() : new LinkedHashSet<>();
            if (kind != 'i') {
                begin(number, items);
            }
            for (int left = count(1); left > 0; left--) {
                try {
                    items.add(value(level + 1));
                } catch (ClassCastException | NullPointerException e) { // of a sorted set
                    throw new Malformed();
                }
            }
            if (kind != 'h' && kind != 'l' && kind != 't' && kind != 'i') {
                throw new Malformed();
            }
            return kind == 'i' ? Collections.unmodifiableSet(items) : items;
        }

        private Map<Object, Object> map(int kind, int number, int level) throws Malformed {
            Map<Object, Object> items =
                    kind == 'h' ? new HashMap<>() : kind == 't' ? new TreeMap<>() : new LinkedHashMap<>();
            if (kind != 'i') {
                begin(number, items);
            }
            for (int left = count(2); left > 0; left--) {
                Object key = value(level + 1);
                Object value = value(level + 1);
                try {
                    items.put(key, value);
                } catch (ClassCastException | NullPointerException e) {
                    throw new Malformed();
                }
            }
            if (kind != 'h' && kind != 'l' && kind != 't' && kind != 'i') {
                throw new Malformed();
            }
            return kind == 'i' ? Collections.unmodifiableMap(items) : items;
        }
    }
}
