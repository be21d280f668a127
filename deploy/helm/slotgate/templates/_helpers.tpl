{{/* The names and labels that everything has. */}}
{{- define "slotgate.name" -}}
{{- .Release.Name | trunc 55 | trimSuffix "-" -}}
{{- end }}

{{- define "slotgate.selector" -}}
app.kubernetes.io/name: slotgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "slotgate.labels" -}}
{{ include "slotgate.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Where config says that it listens: the port of an "ADDRESS:PORT", and what it speaks there. */}}
{{- define "slotgate.port" -}}
{{- splitList ":" .address | last -}}
{{- end }}

{{- define "slotgate.scheme" -}}
{{- ternary "HTTPS" "HTTP" (not (empty .tls)) -}}
{{- end }}

{{/* The name of a listener's port, by its place in the list. */}}
{{- define "slotgate.listener" -}}
{{- if eq (int .) 0 }}http{{ else }}http-{{ . }}{{ end -}}
{{- end }}

{{- define "slotgate.admin" -}}
{{- $admin := .Values.config.admin | required "config.admin.address is left out: the probes ask there" -}}
{{- toJson $admin -}}
{{- end }}

{{- define "slotgate.account" -}}
{{- .Values.serviceAccount.name | default (include "slotgate.name" .) -}}
{{- end }}
