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

{{- define "slotgate.account" -}}
{{- .Values.serviceAccount.name | default (include "slotgate.name" .) -}}
{{- end }}
