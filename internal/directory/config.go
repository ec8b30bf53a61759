package directory

import (
	"context"

	"mailreplica/internal/fault"
)

// Limits of a configuration value.
const (
	ConfigNameBytesMax  = 128
	ConfigValueBytesMax = 64 << 10
)

// ConfigValue is one global setting. Which names there are, and what they may hold, is known to those who read them.
type ConfigValue struct {
	Name, Value string
	Version     int64
}

// GetConfig gives the value of a global setting, and whether it is set.
func (d *Directory) GetConfig(ctx context.Context, name string) (value string, found bool, err error) {
	err = d.store.read(ctx, func(q *query) (err error) {
		found, err = q.row("SELECT value FROM config WHERE name = ?", []any{name}, &value)
		return err
	})
	return value, found, err
}

// AllConfig gives every global setting that is set.
func (d *Directory) AllConfig(ctx context.Context) (map[string]string, error) {
	var values []ConfigValue
	err := d.store.read(ctx, func(q *query) (err error) {
		values, err = rows(q, scanConfig, "SELECT name, value, version FROM config")
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string]string, len(values))
	for _, v := range values {
		all[v.Name] = v.Value
	}
	return all, nil
}

// SetConfig sets a global setting.
func (d *Directory) SetConfig(ctx context.Context, name, value string) error {
	if name == "" || len(name) > ConfigNameBytesMax {
		return fault.New(fault.Invalid, "a setting's name has 1 to %d bytes", ConfigNameBytesMax)
	}
	if len(value) > ConfigValueBytesMax {
		return fault.New(fault.TooLarge, "the value of %s has more than %d bytes", name, ConfigValueBytesMax)
	}
	return d.store.write(ctx, func(t *tx) error {
		version, err := t.next()
		if err != nil {
			return err
		}
		return t.putConfig(ConfigValue{Name: name, Value: value, Version: version})
	})
}

// UnsetConfig removes a global setting; one that is not set is NotFound.
func (d *Directory) UnsetConfig(ctx context.Context, name string) error {
	return d.store.write(ctx, func(t *tx) error {
		met, err := t.exec("DELETE FROM config WHERE name = ?", name)
		if err != nil {
			return err
		}
		if met == 0 {
			return fault.New(fault.NotFound, "the setting %s is not set", name)
		}
		return t.noteRemoved(removedConfig, []byte(name))
	})
}

func (t *tx) putConfig(v ConfigValue) error {
	return t.put("UPDATE config SET value = ?, version = ? WHERE name = ?", []any{v.Value, v.Version, v.Name},
		"INSERT INTO config (name, value, version) VALUES (?, ?, ?)", []any{v.Name, v.Value, v.Version})
}

func scanConfig(row scanner) (ConfigValue, error) {
	var v ConfigValue
	err := row.Scan(&v.Name, &v.Value, &v.Version)
	return v, err
}
